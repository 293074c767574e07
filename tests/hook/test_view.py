"""What others learn of a queue is the same, whether somebody owns it or not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest

from hook import post_build
from hook.errors import Cause, Trouble
from hook.queue import control, view
from hook.queue.database import FILE_NAME
from hook.queue.entry import Entry, Queued, Refused, Submitted
from hook.queue.queue import DATABASE_LOCK, Queue, _locked
from hook.queue.view import Concluded, Known, QueueView
from hook.report import Report
from nixcache.errors import TransientError
from nixcache.store_path import NIX_STORE, StorePath
from protocol.verdicts import AwaitingQuorum

_PATHS = [StorePath.from_base_name(f"{digit * 32}-x") for digit in "0123456"]
_ENTRIES = [
    Entry(_PATHS[0], 1.0, Queued(tries=2, next_attempt_at=3.5, problem="no network", cause=Cause.NETWORK, uploads=1)),
    Entry(
        _PATHS[1],
        2.0,
        Submitted(
            version_id="v",
            staged_at=datetime(2026, 1, 2, tzinfo=UTC),
            since=1.0,
            uploads=1,
            waits_for=(_PATHS[2],),
            quorum=AwaitingQuorum(1, 2),
        ),
    ),
    Entry(_PATHS[2], 3.0, Refused(code="ca-mismatch", problem="why", since=4.0)),
]


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIX_STATE_DIR", str(tmp_path / "nix"))
    return tmp_path / "assay"


@pytest.fixture(params=["owned", "free"])
def seen(request: pytest.FixtureRequest, state_dir: Path) -> Iterator[QueueView]:
    """A view of a queue with a bit of everything."""
    with ExitStack() as stack:
        queue = Queue(state_dir, NIX_STORE, report=Report())
        stack.enter_context(queue.owned())
        queue.save(*_ENTRIES)
        queue.conclude(_PATHS[3], Concluded(_PATHS[3], 5.0, "published", "a remark"))
        post_build.enqueue(str(state_dir), [NIX_STORE.render(path) for path in (_PATHS[1], _PATHS[2], _PATHS[4])])
        if request.param == "free":
            stack.close()
        yield QueueView(state_dir, NIX_STORE)


def test_the_overview_is_complete_and_no_longer_than_was_asked_for(seen: QueueView) -> None:
    whole = seen.overview(limit=10)
    assert whole.counts == {"queued": 1, "submitted": 1, "rejected": 1}
    assert whole.spooled == 1
    assert whole.entries[:3] == tuple(_ENTRIES)
    assert [entry.path for entry in whole.entries[3:]] == [_PATHS[4]], "what is spooled is queued as well"
    assert whole.concluded == (Concluded(_PATHS[3], 5.0, "published", "a remark"),)
    assert whole.set_aside == ()
    short = seen.overview(limit=1)
    assert (short.entries, short.counts) == (tuple(_ENTRIES[:1]), whole.counts)
    assert seen.overview(limit=0).entries == ()
    assert [entry.path for entry in seen.overview(limit=10, rejected=False).entries] == [*_PATHS[:2], _PATHS[4]]


def test_what_is_known_of_a_path_is_its_entry_its_end_or_nothing(seen: QueueView) -> None:
    known = seen.known(_PATHS)
    assert set(known) == set(_PATHS)
    assert [known[path].entry for path in _PATHS[:2]] == _ENTRIES[:2]
    for path in (_PATHS[2], _PATHS[4]):
        entry = known[path].entry
        assert entry
        assert entry.progress == Queued(), "what was refused and is spooled again starts anew"
    assert known[_PATHS[3]] == Known(None, Concluded(_PATHS[3], 5.0, "published", "a remark"))
    assert known[_PATHS[5]] == Known(None, None)


def test_more_paths_than_one_request_takes_are_several(seen: QueueView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PATHS_AT_ONCE", 2)
    assert set(seen.known(_PATHS)) == set(_PATHS)
    assert seen.known([]) == {}


def test_what_was_refused_can_be_forgotten(seen: QueueView) -> None:
    assert seen.forget(_PATHS) == {_PATHS[2]}
    assert seen.overview(limit=0).counts["rejected"] == 0
    assert seen.forget(_PATHS) == set()


def test_all_that_was_refused_is_found_however_much_it_is(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may lie behind any number of older entries, and be forgotten page by page."""
    monkeypatch.setattr("hook.queue.view.PAGE", 2)
    queue = Queue(state_dir, NIX_STORE, report=Report())
    seen = QueueView(state_dir, NIX_STORE)
    refused = sorted(_PATHS[1:])
    for is_owned in (True, False):
        with queue.owned():
            queue.save(Entry(_PATHS[0], 1.0, Queued()))
            queue.save(*(Entry(path, 2.0, Refused(code="x", problem="x", since=1.0)) for path in refused))
            if is_owned:
                assert _forgotten(seen) == refused
        if not is_owned:
            assert _forgotten(seen) == refused
        assert seen.overview(limit=0).counts == {"queued": 1, "submitted": 0, "rejected": 0}


def _forgotten(seen: QueueView) -> list[StorePath]:
    return sorted(path for page in seen.refused() for path in seen.forget(page))


def test_the_owner_is_named_and_nudged_and_nobody_else(state_dir: Path) -> None:
    queue = Queue(state_dir, NIX_STORE, report=Report())
    seen = QueueView(state_dir, NIX_STORE)
    with queue.owned():
        assert seen.overview(limit=0).owner
        assert seen.nudge()
        assert queue.nudged.is_set()
    assert seen.overview(limit=0).owner is None
    assert not seen.nudge()


def test_whoever_only_looks_makes_nothing(state_dir: Path) -> None:
    seen = QueueView(state_dir, NIX_STORE)
    assert seen.overview(limit=10).entries == ()
    assert seen.known(_PATHS)[_PATHS[0]] == Known(None, None)
    assert not seen.nudge()
    assert not state_dir.exists()


def test_what_is_spooled_before_anybody_has_owned_the_queue_is_seen(state_dir: Path) -> None:
    post_build.enqueue(str(state_dir), [NIX_STORE.render(_PATHS[0])])
    overview = QueueView(state_dir, NIX_STORE).overview(limit=10)
    assert [entry.path for entry in overview.entries] == [_PATHS[0]]
    assert not (state_dir / FILE_NAME).exists()


def test_many_who_look_at_once_all_see_it(seen: QueueView) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert {tuple(found.counts.items()) for found in pool.map(lambda _: seen.overview(limit=1), range(40))} == {
            (("queued", 1), ("submitted", 1), ("rejected", 1))
        }


def test_where_somebody_has_it_open_and_does_not_answer_that_is_said(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Queue(state_dir, NIX_STORE, report=Report()).owned():
        pass
    monkeypatch.setattr(view, "_PATIENCE_SECONDS", 0.0)
    with _locked(state_dir / DATABASE_LOCK), pytest.raises(Trouble, match="keeps") as caught:
        QueueView(state_dir, NIX_STORE).overview(limit=1)
    assert caught.value.cause is Cause.MACHINE


@pytest.mark.parametrize(
    "answer",
    [
        b"\n",
        b"{}\n",
        b'{"schema": 2}\n',
        b'{"schema": 1}\n',
        b'{"schema": 1, "overview": []}\n',
        b'{"schema": 1, "overview": {"counts": {}, "spooled": 0, "entries": [{}]}}\n',
        b"[]\n",
    ],
)
def test_an_owner_of_another_version_is_one_line(state_dir: Path, answer: bytes) -> None:
    with Queue(state_dir, NIX_STORE, report=Report()).owned():
        pass
    (state_dir / control.NAME).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    done = Event()

    def answer_once() -> None:
        client, _ = listening.accept()
        with client:
            client.recv(65536)
            client.sendall(answer)
            done.wait(60)

    with listening, _locked(state_dir / DATABASE_LOCK), ThreadPoolExecutor(1) as pool:
        with control._address(state_dir) as address:
            listening.bind(address)
        listening.listen()
        answering = pool.submit(answer_once)
        with pytest.raises(TransientError, match="does not understand"):
            QueueView(state_dir, NIX_STORE).overview(limit=1)
        done.set()
        answering.result()
