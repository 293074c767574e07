"""The durable queue: nothing is lost, nothing is done by two, what is broken is set aside (I6, I9)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest

from hook import gc_roots, post_build
from hook.backoff import LONGEST
from hook.errors import BuilderCode, Cause, Trouble
from hook.post_build import SPOOL_NEW, SPOOL_TMP
from hook.queue.entry import Entry, Queued, Refused, Submitted
from hook.queue.intake import ASKED_AT_ONCE, Intake
from hook.queue.overview import Concluded, Known
from hook.queue.queue import Queue
from hook.queue.spool import SpoolEntry
from hook.queue.table import JOURNAL_LENGTH
from hook.report import Report
from nixcache.errors import PermanentError, TransientError
from nixcache.store_path import NIX_STORE, StorePath

PATHS = [StorePath.from_base_name(f"{digit * 32}-x") for digit in "0123"]
SUBMITTED = Submitted(version_id="v1", staged_at=datetime.now(UTC), since=0.0, uploads=1)


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIX_STATE_DIR", str(tmp_path / "nix"))
    return tmp_path / "assay"


@pytest.fixture
def queue(state_dir: Path) -> Iterator[Queue]:
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned() as mine:
        assert mine
        yield queue


def _spool(state_dir: Path, *paths: StorePath) -> None:
    post_build.enqueue(str(state_dir), [NIX_STORE.render(path) for path in paths])


def _numbered(number: int) -> StorePath:
    return StorePath.from_base_name(f"{number + 10:032d}-x")


def _no_outputs(_: StorePath) -> list[StorePath]:
    raise AssertionError("Nobody needs to ask Nix.")


@contextmanager
def _reopened(state_dir: Path) -> Iterator[Queue]:
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned() as mine:
        assert mine
        queue.adopt_orphans(young=True)
        yield queue


def _entries(queue: Queue) -> dict[StorePath, Entry]:
    return {entry.path: entry for entry in queue.overview(limit=1000).entries}


def _orphan(state_dir: Path, path: StorePath, *, seconds_old: float) -> None:
    post_build.add_gc_root(str(state_dir), NIX_STORE.render(path))
    link = Path(post_build.gc_roots_dir(str(state_dir))) / path.base_name
    made_at = time.time() - seconds_old
    os.utime(link, (made_at, made_at), follow_symlinks=False)


def test_what_hooks_spooled_becomes_an_entry_for_each_path(queue: Queue, state_dir: Path) -> None:
    _spool(state_dir, PATHS[0], PATHS[1])
    _spool(state_dir, PATHS[1], PATHS[2])
    queue.take_in(_no_outputs)
    assert sorted(_entries(queue)) == PATHS[:3]
    assert all(entry.progress == Queued() for entry in _entries(queue).values())
    assert not queue.has_spooled()


def test_entries_survive_the_process(state_dir: Path) -> None:
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned():
        _spool(state_dir, PATHS[0])
        queue.take_in(_no_outputs)
        queue.save(Entry(PATHS[1], 5.0, SUBMITTED))
        before = _entries(queue)
    with _reopened(state_dir) as again:
        assert _entries(again) == before


def test_only_one_process_owns_a_queue_and_nobody_else_uses_it(queue: Queue, state_dir: Path) -> None:
    assert queue.counts()
    other = Queue(state_dir, NIX_STORE, report=Report())
    with other.owned() as mine:
        assert not mine
        with pytest.raises(RuntimeError):
            other.counts()
    with pytest.raises(RuntimeError):
        other.multiparts.all()


def test_an_owner_that_starts_waits_for_those_who_look(state_dir: Path) -> None:
    """A `status` at the moment when the daemon starts must not keep it from starting."""
    with Queue(state_dir, NIX_STORE, report=Report()).owned():
        pass
    looking, starting = Event(), Event()

    def look() -> None:
        with Queue(state_dir, NIX_STORE, report=Report()).looked_at() as ours:
            assert ours
            looking.set()
            assert starting.wait(60)

    with ThreadPoolExecutor(1) as pool:
        looked = pool.submit(look)
        assert looking.wait(60)
        threading.Timer(0.1, starting.set).start()
        with Queue(state_dir, NIX_STORE, report=Report()).owned() as mine:
            assert mine
        looked.result()


def test_a_path_that_is_on_its_way_is_not_queued_again(queue: Queue, state_dir: Path) -> None:
    queue.save(Entry(PATHS[0], 5.0, SUBMITTED))
    _spool(state_dir, PATHS[0])
    queue.take_in(_no_outputs)
    assert _entries(queue)[PATHS[0]] == Entry(PATHS[0], 5.0, SUBMITTED)


def test_a_refused_path_starts_anew_when_it_is_built_or_pushed_again(queue: Queue, state_dir: Path) -> None:
    queue.refuse(PATHS[0], code="x", problem="y")
    _spool(state_dir, PATHS[0])
    queue.take_in(_no_outputs)
    assert _entries(queue)[PATHS[0]].progress == Queued()
    assert gc_roots.is_rooted(state_dir, PATHS[0].base_name)


def test_i9_the_root_stays_until_the_verdict_is_in(queue: Queue, state_dir: Path) -> None:
    _spool(state_dir, PATHS[0], PATHS[1])
    queue.take_in(_no_outputs)
    for path in PATHS[:2]:
        queue.save(replace(_entries(queue)[path], progress=SUBMITTED))
        assert gc_roots.is_rooted(state_dir, path.base_name)
    queue.conclude(PATHS[0], Concluded(PATHS[0], 1.0, "published", ""))
    queue.refuse(PATHS[1], code="x", problem="y")
    assert gc_roots.rooted(state_dir) == {}
    assert set(_entries(queue)) == {PATHS[1]}
    assert isinstance(_entries(queue)[PATHS[1]].progress, Refused)


def test_what_left_is_remembered_until_a_thousand_others_have(queue: Queue, state_dir: Path) -> None:
    _spool(state_dir, PATHS[0])
    queue.take_in(_no_outputs)
    first = Concluded(PATHS[0], 1.0, "published", "with a remark")
    queue.conclude(PATHS[0], first)
    queue.conclude(PATHS[0], replace(first, at=2.0))
    assert queue.known([PATHS[0]])[PATHS[0]] == Known(None, replace(first, at=2.0))
    with queue._opened_database().transaction():  # one, or the disk would be asked a thousand times
        for number in range(JOURNAL_LENGTH):
            queue.conclude(path := _numbered(number), Concluded(path, 3.0, "duplicate", ""))
    assert queue.known([PATHS[0]])[PATHS[0]] == Known(None, None)
    newest = queue.overview(limit=10_000).concluded
    assert [concluded.path for concluded in newest] == [_numbered(number) for number in reversed(range(JOURNAL_LENGTH))]


def test_i9_a_root_without_an_entry_is_queued_by_the_next_uploader(state_dir: Path) -> None:
    """The hook was killed, or the disk was full, between the root and the spool entry."""
    post_build.add_gc_root(str(state_dir), NIX_STORE.render(PATHS[0]))
    with _reopened(state_dir) as queue:
        assert set(_entries(queue)) == {PATHS[0]}


def test_a_root_left_over_by_a_refusal_is_let_go_and_a_foreign_link_is_left_alone(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned():
        queue.refuse(PATHS[0], code="x", problem="y")
    _orphan(state_dir, PATHS[0], seconds_old=100)
    foreign = Path(post_build.gc_roots_dir(str(state_dir))) / "foreign"
    foreign.symlink_to("/etc/passwd")
    with _reopened(state_dir) as again:
        again.adopt_orphans()
    assert gc_roots.rooted(state_dir) == {"foreign": "/etc/passwd"}
    assert capsys.readouterr().err.count("left alone") == 1


def test_a_daemon_adopts_no_root_whose_hook_may_still_be_running(queue: Queue, state_dir: Path) -> None:
    _orphan(state_dir, PATHS[0], seconds_old=50)
    _orphan(state_dir, PATHS[1], seconds_old=70)
    # The clock was set back.
    _orphan(state_dir, PATHS[2], seconds_old=-1000)
    queue.adopt_orphans()
    assert set(_entries(queue)) == set(PATHS[1:3])


def test_i9_the_root_of_a_refused_path_stays_when_it_is_spooled_again_or_has_just_been_made(
    queue: Queue, state_dir: Path
) -> None:
    for path in PATHS[:3]:
        queue.refuse(path, code="x", problem="y")
    _orphan(state_dir, PATHS[0], seconds_old=100)
    _spool(state_dir, PATHS[0])
    _orphan(state_dir, PATHS[1], seconds_old=0)
    _orphan(state_dir, PATHS[2], seconds_old=100)
    queue.adopt_orphans(young=True)
    assert set(gc_roots.rooted(state_dir)) == {PATHS[0].base_name, PATHS[1].base_name}


def test_i9_a_refusal_lets_no_root_go_of_a_path_that_was_queued_again(queue: Queue, state_dir: Path) -> None:
    """The uploader may end before it takes the new entry in, and garbage collection come in between."""
    for path in PATHS[:2]:
        _orphan(state_dir, path, seconds_old=100)
    _spool(state_dir, PATHS[0])
    for path in PATHS[:2]:
        queue.refuse(path, code="x", problem="y")
    assert set(gc_roots.rooted(state_dir)) == {PATHS[0].base_name}


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"assay-spool 1\npath /nix/st", b'{"schema": 1'])
def test_i6_a_spool_entry_that_cannot_be_read_is_set_aside_with_a_message_and_stops_nobody(
    queue: Queue, state_dir: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    _spool(state_dir, PATHS[0])
    (state_dir / SPOOL_NEW / "0-broken").write_bytes(data)
    assert queue.overview(limit=10).set_aside == (), "whoever only looks changes nothing"
    assert queue.take_in(_no_outputs) == 1
    assert set(_entries(queue)) == {PATHS[0]}
    (aside,) = queue.quarantined()
    assert aside.read_bytes() == data
    assert queue.has_set_aside
    said = capsys.readouterr().err
    assert said.startswith("assay: queue-entry-malformed: ")
    assert str(aside) in said


def test_an_entry_of_another_store_is_set_aside(queue: Queue, state_dir: Path) -> None:
    post_build.enqueue(str(state_dir), [f"/gnu/store/{PATHS[0].base_name}"])
    queue.take_in(_no_outputs)
    assert (_entries(queue), len(queue.quarantined())) == ({}, 1)


def _fails(_: StorePath) -> list[StorePath]:
    raise PermanentError(BuilderCode.NIX_FAILED, "not yet")


def _names_none(_: StorePath) -> list[StorePath]:
    return []


@pytest.mark.parametrize("outputs", [_fails, _names_none])
def test_i6_a_derivation_whose_outputs_nix_cannot_tell_is_asked_for_again_and_after_an_hour_set_aside(
    queue: Queue, state_dir: Path, outputs: Callable[[StorePath], list[StorePath]], capsys: pytest.CaptureFixture[str]
) -> None:
    post_build.enqueue(str(state_dir), [], drv_path=f"{NIX_STORE.render(PATHS[0])}.drv")
    queue.take_in(outputs)
    assert queue.has_spooled()
    assert queue.quarantined() == []
    (file,) = (state_dir / SPOOL_NEW).iterdir()
    os.utime(file, (time.time() - 4000, time.time() - 4000))
    queue.take_in(outputs)
    assert not queue.has_spooled()
    (aside,) = queue.quarantined()
    assert str(aside) in capsys.readouterr().err


def test_what_nix_or_the_disk_cannot_tell_now_stays_spooled_and_holds_up_nothing_behind_it(
    queue: Queue, state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def outputs(_: StorePath) -> list[StorePath]:
        raise TransientError("Nix is being upgraded.")

    post_build.enqueue(str(state_dir), [], drv_path=f"{NIX_STORE.render(PATHS[1])}.drv")
    (state_dir / SPOOL_NEW / "1-directory").mkdir()
    _spool(state_dir, PATHS[0])
    assert queue.take_in(outputs) == 1
    assert queue.take_in(outputs) == 0
    assert set(_entries(queue)) == {PATHS[0]}
    assert queue.has_spooled()
    said = capsys.readouterr().err
    assert said.count("Nix is being upgraded.") == 1
    assert said.count("1-directory") == 1


def test_derivations_that_nix_cannot_tell_are_no_more_asked_for_in_one_go_than_a_moment_allows(
    queue: Queue, state_dir: Path
) -> None:
    asked: list[StorePath] = []

    def outputs(drv_path: StorePath) -> list[StorePath]:
        asked.append(drv_path)
        return []

    for number in range(ASKED_AT_ONCE + 5):
        post_build.enqueue(str(state_dir), [], drv_path=f"{NIX_STORE.render(_numbered(number))}.drv")
    _spool(state_dir, PATHS[0])
    assert queue.take_in(outputs) == 0
    assert len(asked) == ASKED_AT_ONCE
    assert queue.take_in(outputs) == 1, "those behind them have their turn"
    assert len(set(asked)) == ASKED_AT_ONCE + 5


def test_i6_a_spool_is_taken_in_a_part_at_a_time_in_the_order_of_time(queue: Queue, state_dir: Path) -> None:
    for number in range(25):
        _spool(state_dir, _numbered(number))
    assert [queue.take_in(_no_outputs, limit=10) for _ in range(3)] == [10, 10, 5]
    by_age = sorted(_entries(queue).values(), key=lambda entry: (entry.queued_at, entry.path))
    assert [entry.path for entry in by_age] == [_numbered(number) for number in range(25)]


def test_i6_what_is_taken_in_is_durable_before_the_spool_lets_go_of_it(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power fails between the two: both have it, and that is one entry."""

    class PowerLossError(Exception):
        pass

    def power_fails(*_: object) -> None:
        raise PowerLossError

    queue = Queue(state_dir, NIX_STORE, report=Report())
    with suppress(PowerLossError), queue.owned(), monkeypatch.context() as patched:
        _spool(state_dir, PATHS[0])
        patched.setattr(Intake, "done", power_fails)
        queue.take_in(_no_outputs)
    with _reopened(state_dir) as again:
        assert again.has_spooled()
        assert again.counts()["queued"] == 1
        again.take_in(_no_outputs)
        assert (again.counts()["queued"], again.has_spooled()) == (1, False)


def test_i9_a_full_disk_while_taking_in_is_trouble_and_loses_nothing(queue: Queue, state_dir: Path) -> None:
    _spool(state_dir, PATHS[0])
    with queue._opened_database().transaction() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    long = tuple(_numbered(number) for number in range(2000))
    with pytest.raises(Trouble, match="full") as caught:
        queue.save(Entry(PATHS[1], 1.0, replace(SUBMITTED, waits_for=long)))
    assert caught.value.cause is Cause.MACHINE
    assert caught.value.remedy
    assert queue.get(PATHS[1]) is None, "nothing of it, not a half"
    with queue._opened_database().transaction() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    queue.save(Entry(PATHS[1], 1.0, replace(SUBMITTED, waits_for=long)))
    queue.take_in(_no_outputs)
    assert set(_entries(queue)) == set(PATHS[:2])


def test_what_is_due_is_what_was_never_tried_whose_time_has_come_or_whose_time_cannot_be(queue: Queue) -> None:
    now = 1000.0
    late = Queued(tries=1, next_attempt_at=now + 1, problem="x", cause=Cause.NETWORK)
    queue.save(
        Entry(PATHS[0], 30.0, Queued()),
        Entry(PATHS[1], 20.0, replace(late, next_attempt_at=now)),
        Entry(PATHS[2], 10.0, replace(late, next_attempt_at=now + LONGEST + 1)),
        Entry(PATHS[3], 5.0, late),
    )
    assert [entry.path for entry in queue.due(now, 10)] == [PATHS[2], PATHS[1], PATHS[0]]
    assert queue.next_due() == 0
    assert queue.get(PATHS[3]) == Entry(PATHS[3], 5.0, late)
    queue.nudge()
    assert queue.nudged.is_set()
    assert len(queue.due(now, 10)) == 4
    assert queue.get(PATHS[3]) == Entry(PATHS[3], 5.0, replace(late, next_attempt_at=0))


def test_neither_what_is_new_nor_what_failed_keeps_the_other_from_its_turn(queue: Queue) -> None:
    again = Queued(tries=1, next_attempt_at=5.0)
    queue.save(*(Entry(_numbered(number), float(number), again if number % 2 else Queued()) for number in range(20)))
    for limit in (1, 4, 9, 20, 30):
        due = queue.due(10.0, limit)
        assert len(due) == min(limit, 20)
        assert abs(sum(1 if entry.progress == again else -1 for entry in due)) <= 1
    queue.save(*(Entry(_numbered(number), float(number), Queued()) for number in range(16)))
    assert len(queue.due(10.0, 10)) == 10, "where there are few of one kind, the other has the room"


def test_nothing_is_due_where_nothing_is_queued(queue: Queue) -> None:
    assert (queue.due(0.0, 10), queue.next_due()) == ([], None)


def test_the_submitted_come_a_page_at_a_time(queue: Queue) -> None:
    paths = [_numbered(number) for number in range(5)]
    queue.save(*(Entry(path, 0.0, SUBMITTED) for path in paths), Entry(PATHS[3], 0.0, Queued()))
    assert [entry.path for entry in queue.submitted(3)] == paths[:3]
    assert [entry.path for entry in queue.submitted(3, paths[2])] == paths[3:]


def test_blocked_is_what_waits_through_others_for_a_refused_one(queue: Queue) -> None:
    refused, near, far, free, circle, unknown = (_numbered(number) for number in range(6))
    queue.refuse(refused, code="x", problem="y")
    for path, waits_for in ((near, (refused,)), (far, (near,)), (free, (unknown,)), (circle, (circle, far))):
        queue.save(Entry(path, 0.0, replace(SUBMITTED, waits_for=waits_for)))
    assert queue.blocked() == {near, far, circle}
    queue.save(Entry(refused, 0.0, Queued()))
    assert queue.blocked() == set()
    queue.refuse(near, code="x", problem="it waits for nothing any more")
    queue.forget([near])
    assert queue.blocked() == set()


def test_what_was_refused_can_be_forgotten_and_nothing_else(queue: Queue, state_dir: Path) -> None:
    queue.refuse(PATHS[0], code="x", problem="y")
    queue.refuse(PATHS[1], code="x", problem="y")
    queue.save(Entry(PATHS[2], 0.0, SUBMITTED))
    for path in PATHS[:3]:
        _orphan(state_dir, path, seconds_old=0)
    assert queue.forget([PATHS[0], *PATHS[2:]]) == {PATHS[0]}
    assert set(_entries(queue)) == {PATHS[1], PATHS[2]}
    assert set(gc_roots.rooted(state_dir)) == {PATHS[1].base_name, PATHS[2].base_name}


def test_presence_is_remembered_until_it_is_over_or_disproved(queue: Queue) -> None:
    many = [_numbered(number) for number in range(1200)]
    queue.remember_present(many, 100.0)
    assert queue.recall_present([*many, *PATHS[2:]], 99.0) == set(many)
    queue.forget_present(many[1:])
    assert queue.recall_present(many, 99.0) == set(many[:1])
    assert queue.recall_present(many, 100.0) == set()
    assert queue.recall_present(many, 99.0) == set(), "and forgotten"


def test_a_row_that_cannot_be_read_is_set_aside_and_its_root_queues_it_anew(
    queue: Queue, state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _spool(state_dir, PATHS[0], PATHS[1])
    queue.take_in(_no_outputs)
    with queue._opened_database().transaction() as connection:
        connection.execute("UPDATE entries SET progress = '{' WHERE path = ?", (PATHS[0].base_name,))
    assert [entry.path for entry in queue.due(time.time(), 10)] == [PATHS[1]]
    assert PATHS[0].base_name in queue.quarantined()[0].read_text()
    assert "queue-entry-malformed" in capsys.readouterr().err
    queue.adopt_orphans(young=True)
    assert set(_entries(queue)) == set(PATHS[:2])


def test_many_orphans_are_one_line(queue: Queue, state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(20):
        _orphan(state_dir, _numbered(number), seconds_old=100)
    queue.adopt_orphans()
    assert queue.counts()["queued"] == 20
    assert capsys.readouterr().err == "assay: 20 paths are rooted but were not queued; they are now.\n"


def test_temporary_files_of_hooks_that_were_killed_go_after_an_hour(state_dir: Path) -> None:
    (state_dir / SPOOL_TMP).mkdir(parents=True)
    old, young = (state_dir / SPOOL_TMP / name for name in ("old", "young"))
    old.write_text("")
    young.write_text("")
    os.utime(old, (time.time() - 4000, time.time() - 4000))
    with _reopened(state_dir):
        pass
    assert list((state_dir / SPOOL_TMP).iterdir()) == [young]


def test_i9_what_is_forgotten_while_it_is_taken_in_stays_queued(
    queue: Queue, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`assay forget` asks in a thread of its own, while the owner takes in what was built again."""
    queue.refuse(PATHS[0], code="x", problem="y")
    _spool(state_dir, PATHS[0])
    may_be_spooled = queue._may_be_spooled
    taking: list[threading.Thread] = []
    saved = Event()
    save = queue.save

    def save_and_tell(*entries: Entry) -> None:
        save(*entries)
        saved.set()

    def taken_in_meanwhile(path: StorePath) -> bool:
        if not taking:
            taking.append(threading.Thread(target=queue.take_in, args=(_no_outputs,)))
            taking[0].start()
            assert not saved.wait(0.2), "nothing is saved between a look at an entry and its end"
        return may_be_spooled(path)

    monkeypatch.setattr(queue, "save", save_and_tell)
    monkeypatch.setattr(queue, "_may_be_spooled", taken_in_meanwhile)
    queue.forget([PATHS[0]])
    taking[0].join(60)
    assert _entries(queue)[PATHS[0]].progress == Queued()
    assert gc_roots.is_rooted(state_dir, PATHS[0].base_name)


def test_i9_forgetting_deletes_no_row_that_is_refused_no_longer(queue: Queue) -> None:
    queue.save(Entry(PATHS[0], 1.0, Queued()))
    queue._table.drop_refused([PATHS[0]])
    assert queue.get(PATHS[0])


@pytest.mark.parametrize("release", ["refuse", "forget", "conclude", "adopt"])
def test_i9_what_a_hook_queues_while_its_root_is_let_go_is_rooted(
    queue: Queue, state_dir: Path, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    """The hook met the old root and took it for its own."""
    path = PATHS[0]
    if release in {"forget", "adopt"}:
        queue.refuse(path, code="x", problem="y")
    _orphan(state_dir, path, seconds_old=100)
    let_go = gc_roots.release

    def meanwhile(*arguments: object) -> None:
        _spool(state_dir, path)
        let_go(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(gc_roots, "release", meanwhile)
    if release == "refuse":
        queue.refuse(path, code="x", problem="y")
    elif release == "forget":
        assert queue.forget([path]) == {path}
    elif release == "conclude":
        queue.conclude(path, Concluded(path, 1.0, "published", ""))
    else:
        queue.adopt_orphans()
    assert queue.has_spooled()
    assert gc_roots.is_rooted(state_dir, path.base_name)


def test_no_more_of_a_spool_is_read_for_one_question_than_a_bound(
    queue: Queue, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hook.queue.queue._LOOKED_THROUGH", 3)
    read: list[str] = []
    one = queue._spool.read

    def noted(name: str) -> tuple[SpoolEntry, float]:
        read.append(name)
        return one(name)

    monkeypatch.setattr(queue._spool, "read", noted)
    for number in range(10):
        _spool(state_dir, _numbered(number))
    assert queue.known([_numbered(9)])[_numbered(9)].entry
    assert len(read) == 1
    assert queue.known([PATHS[0]]) == {PATHS[0]: Known(None, None)}
    assert len(read) == 4
