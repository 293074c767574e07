"""The durable queue: nothing is lost, nothing is done by two, what is broken is set aside (I6, I9)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hook import gc_roots, post_build
from hook.errors import BuilderCode
from hook.post_build import SPOOL_NEW, SPOOL_TMP
from hook.queue.entry import Entry, Queued, Refused, Submitted
from hook.queue.queue import ENTRIES, Queue
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


def _no_outputs(_: StorePath) -> list[StorePath]:
    raise AssertionError("Nobody needs to ask Nix.")


def _reopened(state_dir: Path) -> Queue:
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned() as mine:
        assert mine
        queue.adopt_orphans(young=True)
    return queue


def _orphan(state_dir: Path, path: StorePath, *, seconds_old: float) -> None:
    post_build.add_gc_root(str(state_dir), NIX_STORE.render(path))
    link = Path(post_build.gc_roots_dir(str(state_dir))) / path.base_name
    made_at = time.time() - seconds_old
    os.utime(link, (made_at, made_at), follow_symlinks=False)


def test_what_hooks_spooled_becomes_an_entry_for_each_path(queue: Queue, state_dir: Path) -> None:
    _spool(state_dir, PATHS[0], PATHS[1])
    _spool(state_dir, PATHS[1], PATHS[2])
    queue.take_in(_no_outputs)
    assert sorted(queue.entries) == PATHS[:3]
    assert all(entry.progress == Queued() for entry in queue.entries.values())
    assert not queue.has_spooled()


def test_entries_survive_the_process(state_dir: Path) -> None:
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned():
        _spool(state_dir, PATHS[0])
        queue.take_in(_no_outputs)
        queue.save(Entry(PATHS[1], 5.0, SUBMITTED))
        before = dict(queue.entries)
    assert _reopened(state_dir).entries == before


def test_only_one_uploader_owns_a_queue_and_others_may_look(queue: Queue, state_dir: Path) -> None:
    _spool(state_dir, PATHS[0])
    other = Queue(state_dir, NIX_STORE, report=Report())
    with other.owned() as mine:
        assert not mine
    entries, unreadable = other.read()
    assert (set(entries), unreadable) == ({PATHS[0]}, [])
    queue.take_in(_no_outputs)
    assert set(other.read()[0]) == {PATHS[0]}


def test_a_path_that_is_on_its_way_is_not_queued_again(queue: Queue, state_dir: Path) -> None:
    queue.save(Entry(PATHS[0], 5.0, SUBMITTED))
    _spool(state_dir, PATHS[0])
    queue.take_in(_no_outputs)
    assert queue.entries[PATHS[0]] == Entry(PATHS[0], 5.0, SUBMITTED)


def test_a_refused_path_starts_anew_when_it_is_built_or_pushed_again(queue: Queue, state_dir: Path) -> None:
    queue.refuse(PATHS[0], code="x", problem="y")
    _spool(state_dir, PATHS[0])
    queue.take_in(_no_outputs)
    assert queue.entries[PATHS[0]].progress == Queued()
    assert gc_roots.is_rooted(state_dir, PATHS[0].base_name)


def test_i9_the_root_stays_until_the_verdict_is_in(queue: Queue, state_dir: Path) -> None:
    _spool(state_dir, PATHS[0], PATHS[1])
    queue.take_in(_no_outputs)
    for path in PATHS[:2]:
        queue.save(replace(queue.entries[path], progress=SUBMITTED))
        assert gc_roots.is_rooted(state_dir, path.base_name)
    queue.finish(PATHS[0])
    queue.refuse(PATHS[1], code="x", problem="y")
    assert gc_roots.rooted(state_dir) == {}
    assert set(queue.entries) == {PATHS[1]}
    assert isinstance(queue.entries[PATHS[1]].progress, Refused)


def test_finishing_twice_is_finishing_once(queue: Queue, state_dir: Path) -> None:
    _spool(state_dir, PATHS[0])
    queue.take_in(_no_outputs)
    queue.finish(PATHS[0])
    queue.finish(PATHS[0])
    assert queue.entries == {}


def test_i9_a_root_without_an_entry_is_queued_by_the_next_uploader(state_dir: Path) -> None:
    """The hook was killed, or the disk was full, between the root and the spool entry."""
    post_build.add_gc_root(str(state_dir), NIX_STORE.render(PATHS[0]))
    assert set(_reopened(state_dir).entries) == {PATHS[0]}


def test_a_root_left_over_by_a_refusal_is_let_go_and_a_foreign_link_is_left_alone(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned():
        queue.refuse(PATHS[0], code="x", problem="y")
    _orphan(state_dir, PATHS[0], seconds_old=100)
    foreign = Path(post_build.gc_roots_dir(str(state_dir))) / "foreign"
    foreign.symlink_to("/etc/passwd")
    _reopened(state_dir).adopt_orphans()
    assert gc_roots.rooted(state_dir) == {"foreign": "/etc/passwd"}
    assert capsys.readouterr().err.count("left alone") == 1


def test_a_daemon_adopts_no_root_whose_hook_may_still_be_running(queue: Queue, state_dir: Path) -> None:
    _orphan(state_dir, PATHS[0], seconds_old=50)
    _orphan(state_dir, PATHS[1], seconds_old=70)
    # The clock was set back.
    _orphan(state_dir, PATHS[2], seconds_old=-1000)
    queue.adopt_orphans()
    assert set(queue.entries) == set(PATHS[1:3])


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


@pytest.mark.parametrize("where", [SPOOL_NEW, ENTRIES])
@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"assay-spool 1\npath /nix/st", b'{"schema": 1'])
def test_i6_an_entry_that_cannot_be_read_is_set_aside_with_a_message_and_stops_nobody(
    state_dir: Path, where: str, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    _spool(state_dir, PATHS[0])
    (state_dir / where).mkdir(exist_ok=True)
    (state_dir / where / "0-broken").write_bytes(data)
    queue = Queue(state_dir, NIX_STORE, report=Report())
    assert [file.name for file, _ in queue.read()[1]] == ["0-broken"], "whoever only looks changes nothing"
    with queue.owned():
        queue.take_in(_no_outputs)
    assert set(queue.entries) == {PATHS[0]}
    (aside,) = queue.quarantined()
    assert aside.read_bytes() == data
    said = capsys.readouterr().err
    assert said.startswith("assay: queue-entry-malformed: ")
    assert str(aside) in said


def test_an_entry_of_another_store_is_set_aside(queue: Queue, state_dir: Path) -> None:
    post_build.enqueue(str(state_dir), [f"/gnu/store/{PATHS[0].base_name}"])
    queue.take_in(_no_outputs)
    assert (queue.entries, len(queue.quarantined())) == ({}, 1)


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


def test_trouble_while_taking_in_leaves_the_spool_as_it_is(queue: Queue, state_dir: Path) -> None:
    def outputs(_: StorePath) -> list[StorePath]:
        raise TransientError("Nix is being upgraded.")

    post_build.enqueue(str(state_dir), [], drv_path=f"{NIX_STORE.render(PATHS[0])}.drv")
    with pytest.raises(TransientError):
        queue.take_in(outputs)
    assert queue.has_spooled()


def test_temporary_files_of_hooks_that_were_killed_go_after_an_hour(state_dir: Path) -> None:
    (state_dir / SPOOL_TMP).mkdir(parents=True)
    old, young = (state_dir / SPOOL_TMP / name for name in ("old", "young"))
    old.write_text("")
    young.write_text("")
    os.utime(old, (time.time() - 4000, time.time() - 4000))
    _reopened(state_dir)
    assert list((state_dir / SPOOL_TMP).iterdir()) == [young]
