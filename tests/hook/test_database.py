"""A database that is damaged or of another version is set aside and filled anew from the roots (I6, I9)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hook import post_build
from hook.errors import BuilderCode, Cause, Trouble
from hook.queue.database import COMPANIONS, FILE_NAME, VERSION, Database
from hook.queue.quarantine import Quarantine
from hook.queue.queue import Queue
from hook.report import Report
from nixcache.errors import PermanentError
from nixcache.store_path import NIX_STORE, StorePath

_PATHS = [StorePath.from_base_name(f"{digit * 32}-x") for digit in "0123"]


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIX_STATE_DIR", str(tmp_path / "nix"))
    return tmp_path / "assay"


def _fill(state_dir: Path) -> None:
    post_build.enqueue(str(state_dir), [NIX_STORE.render(path) for path in _PATHS])
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned():
        queue.take_in(lambda _: [])


def _is_garbage(file: Path) -> None:
    file.write_bytes(b"no database at all\n" * 1000)


def _is_damaged(file: Path) -> None:
    with file.open("r+b") as database:
        database.seek(100)
        database.write(b"\xff" * (file.stat().st_size - 100))


def _is_newer(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()


def _is_somebody_elses(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()


@pytest.mark.parametrize("spoil", [_is_garbage, _is_damaged, _is_newer, _is_somebody_elses])
def test_i9_a_database_that_cannot_be_used_is_set_aside_and_filled_anew_from_the_roots(
    state_dir: Path, spoil: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    _fill(state_dir)
    spoil(state_dir / FILE_NAME)
    spoiled = (state_dir / FILE_NAME).read_bytes()
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned() as mine:
        assert mine
        queue.adopt_orphans(young=True)
        assert queue.counts()["queued"] == len(_PATHS)
        assert queue.has_set_aside
        (database,) = queue.quarantined()
    assert database.read_bytes() == spoiled
    assert str(database) in capsys.readouterr().err


def test_i9_damage_that_is_met_later_is_one_trouble_and_the_queue_goes_on(state_dir: Path) -> None:
    _fill(state_dir)
    with (state_dir / FILE_NAME).open("r+b") as file:
        # The first page is read when it is opened; what comes behind it only when it is asked for.
        file.seek(4096)
        file.write(b"\xff" * ((state_dir / FILE_NAME).stat().st_size - 4096))
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned():
        with pytest.raises(Trouble) as caught:
            queue.get_many(_PATHS)
        assert caught.value.cause is Cause.MACHINE
        queue.adopt_orphans(young=True)
        assert set(queue.get_many(_PATHS)) == set(_PATHS)
        queue.save(*queue.get_many(_PATHS).values())
    assert [file.name.startswith(FILE_NAME) for file in queue.quarantined()] == [True]


def test_nothing_else_opens_it(state_dir: Path) -> None:
    with Queue(state_dir, NIX_STORE, report=Report()).owned():
        other = sqlite3.connect(state_dir / FILE_NAME, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("SELECT * FROM entries")
        other.close()


def test_what_is_committed_is_synced(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE_NAME, Quarantine(tmp_path, Report()))
    with database.transaction() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    database.close()


def test_all_of_a_transaction_is_done_or_none(tmp_path: Path) -> None:
    database = Database(tmp_path / FILE_NAME, Quarantine(tmp_path, Report()))
    with suppress(KeyError), database.transaction() as connection:
        connection.execute("INSERT INTO present VALUES ('x', 1)")
        with database.transaction() as inner:
            inner.execute("INSERT INTO present VALUES ('y', 1)")
        raise KeyError
    with database.transaction() as connection:
        assert connection.execute("SELECT * FROM present").fetchall() == []
    database.close()


def test_what_belongs_to_a_database_goes_with_it(tmp_path: Path) -> None:
    """Whoever looks for what was lost opens it there, and an empty one must not take its log for its own."""
    for suffix in ("", *COMPANIONS):
        (tmp_path / f"{FILE_NAME}{suffix}").write_text(suffix)
    quarantine = Quarantine(tmp_path / "quarantine", Report())
    quarantine.move(tmp_path / FILE_NAME, PermanentError(BuilderCode.CONFIG_INVALID, "x"), companions=COMPANIONS)
    database, *others = quarantine.files()
    assert sorted(others) == sorted(database.with_name(f"{database.name}{suffix}") for suffix in COMPANIONS)
    assert list(tmp_path.glob("queue.*")) == []


@pytest.mark.parametrize("place", ["directory", "no_parent"])
def test_where_no_database_can_be_there_is_one_trouble(tmp_path: Path, place: str) -> None:
    file = tmp_path / FILE_NAME if place == "directory" else tmp_path / "nowhere" / FILE_NAME
    if place == "directory":
        file.mkdir()
    with pytest.raises(Trouble) as caught:
        Database(file, Quarantine(tmp_path / "quarantine", Report()))
    assert caught.value.remedy
    assert not (tmp_path / "quarantine").exists()


def test_i6_a_copy_of_the_files_at_any_moment_is_a_whole_queue(state_dir: Path, tmp_path: Path) -> None:
    """Power loss: what was committed is in the copy, what was not is not, and it opens."""
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned():
        for number, path in enumerate(_PATHS):
            post_build.enqueue(str(state_dir), [NIX_STORE.render(path)])
            queue.take_in(lambda _: [])
            copy = tmp_path / f"copy-{number}"
            copy.mkdir()
            for file in state_dir.glob(f"{FILE_NAME}*"):
                (copy / file.name).write_bytes(file.read_bytes())
            after_the_loss = Queue(copy, NIX_STORE, report=Report())
            with after_the_loss.owned():
                assert after_the_loss.counts()["queued"] == number + 1
                assert not after_the_loss.has_set_aside


def test_only_its_owner_may_lock_the_queue(state_dir: Path) -> None:
    """Whoever can open a lock can hold it, and keep the uploader out for ever."""
    before = os.umask(0)
    try:
        with Queue(state_dir, NIX_STORE, report=Report()).owned():
            assert [file.stat().st_mode & 0o777 for file in state_dir.glob("*.lock")] == [0o600] * 2
    finally:
        os.umask(before)


def test_only_its_owner_may_read_the_database(state_dir: Path) -> None:
    before = os.umask(0)
    try:
        with Queue(state_dir, NIX_STORE, report=Report()).owned():
            modes = {file.name: file.stat().st_mode & 0o777 for file in state_dir.glob(f"{FILE_NAME}*")}
    finally:
        os.umask(before)
    assert FILE_NAME in modes
    assert set(modes.values()) == {0o600}


def test_i9_damage_on_a_disk_that_lets_nothing_be_set_aside_is_trouble_until_it_does(state_dir: Path) -> None:
    _fill(state_dir)
    (state_dir / "quarantine").write_text("a file in its place, as good as a full disk")
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned():
        damage = sqlite3.DatabaseError("malformed")
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        with pytest.raises(Trouble, match="malformed"), queue._opened_database().transaction():
            raise damage
        for _ in range(2):
            with pytest.raises(Trouble) as caught:
                queue.counts()
            assert caught.value.cause is Cause.MACHINE
        (state_dir / "quarantine").unlink()
        queue.adopt_orphans(young=True)
        assert set(queue.get_many(_PATHS)) == set(_PATHS)
        assert queue.has_set_aside
