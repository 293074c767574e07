"""``assay status`` for people: the oldest first, why and since when, and never more than a terminal shows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hook import post_build
from hook.commands import status
from hook.errors import Cause
from hook.queue.entry import Entry, Progress, Queued, Refused, Submitted
from hook.queue.queue import Queue
from hook.queue.view import Concluded, QueueView
from hook.report import Report
from nixcache.store_path import NIX_STORE, StorePath
from protocol.verdicts import AwaitingQuorum

NOW = 1_800_000_000.0
_DIGITS = "0123456789abcdfghijklmnpqrsvwxyz"


def _path(number: int) -> StorePath:
    return StorePath.from_base_name(f"{_DIGITS[number // 32]}{_DIGITS[number % 32] * 31}-p{number}")


def _fill(state_dir: Path, progress: Iterable[Progress], *concluded: Concluded) -> QueueView:
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned():
        queue.save(*(Entry(_path(number), NOW - 7200 + number, one) for number, one in enumerate(progress)))
        for one in concluded:
            queue.conclude(one.path, one)
    return QueueView(state_dir, NIX_STORE)


def _submitted(*waits_for: StorePath, quorum: AwaitingQuorum | None = None) -> Submitted:
    return Submitted(
        version_id="1", staged_at=datetime.now(UTC), since=NOW, uploads=1, waits_for=waits_for, quorum=quorum
    )


def test_a_line_for_each_path_says_why_it_is_still_there(tmp_path: Path) -> None:
    postponed = Queued(tries=3, next_attempt_at=NOW + 40, problem="No route.", cause=Cause.NETWORK)
    view = _fill(
        tmp_path,
        [
            Refused(code="x", problem="x: Wrong. Build it again.", since=NOW),
            Queued(),
            postponed,
            _submitted(),
            _submitted(_path(1), _path(0)),
            _submitted(quorum=AwaitingQuorum(1, 2)),
        ],
        Concluded(_path(40), NOW - 180, "published", ""),
        Concluded(_path(41), NOW - 60, "duplicate", "https://cache.example has it"),
    )
    waits = f"waits for {_path(0).base_name} (which was rejected), {_path(1).base_name}"
    assert status.as_text(view, now=NOW).splitlines() == [
        "2 queued, 3 submitted, 1 rejected",
        "No uploader works on it: `assay daemon` does, or once, `assay upload --once`.",
        "",
        f"rejected      2 h  {_path(0).base_name}  x: Wrong. Build it again.",
        f"queued        1 h  {_path(1).base_name}  to be uploaded",
        f"queued        1 h  {_path(2).base_name}  3 tries, again in 40 s (network): No route.",
        f"submitted     1 h  {_path(3).base_name}  awaits its verdict",
        f"submitted     1 h  {_path(4).base_name}  {waits}",
        f"submitted     1 h  {_path(5).base_name}  awaits a quorum: 1 of 2 builders agree",
        "",
        "last verdicts:",
        f"  duplicate  1 min ago  {_path(41).base_name}  https://cache.example has it",
        f"  published  3 min ago  {_path(40).base_name}",
    ]


def test_a_long_queue_is_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "SHOWN", 3)
    lines = status.as_text(_fill(tmp_path, [Queued()] * 1000), now=NOW).splitlines()
    assert lines[0] == "1,000 queued"
    assert lines[3:] == [*lines[3:6], "… and 997 more"]


def test_who_works_on_it_is_told(tmp_path: Path) -> None:
    queue = Queue(tmp_path, NIX_STORE, report=Report())
    with queue.owned():
        text = status.as_text(QueueView(tmp_path, NIX_STORE), now=NOW)
    assert text.startswith("Nothing is queued.\nAn uploader works on it: process ")


def test_what_the_hook_has_just_written_is_there_at_once(tmp_path: Path) -> None:
    post_build.enqueue(str(tmp_path), [NIX_STORE.render(_path(1))])
    text = status.as_text(QueueView(tmp_path, NIX_STORE), now=time.time())
    assert text.startswith("1 hook run not taken in yet\n")
    assert f"{_path(1).base_name}  to be uploaded" in text


def test_of_a_long_log_only_the_end_is_read(tmp_path: Path) -> None:
    (tmp_path / post_build.LOG_NAME).write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert status.hook_problems(tmp_path) == [f"line {number}" for number in range(99_990, 100_000)]


def test_the_document_is_stable(tmp_path: Path) -> None:
    """What scripts read: a name that changes here breaks them."""
    view = _fill(tmp_path, [Queued()], Concluded(_path(40), NOW, "published", ""))
    document = json.loads(status.as_json(view))
    assert list(document) == [
        "schema",
        "stateDir",
        "counts",
        "spooled",
        "entries",
        "concluded",
        "setAside",
        "owner",
        "hookProblems",
    ]
    [entry] = document["entries"]
    assert entry == {
        "schema": 1,
        "storePath": NIX_STORE.render(_path(0)),
        "queuedAt": NOW - 7200,
        "state": "queued",
        "tries": 0,
        "nextAttemptAt": 0.0,
        "problem": "",
        "cause": None,
        "uploads": 0,
    }
    assert document["concluded"] == [{"path": _path(40).base_name, "at": NOW, "outcome": "published", "remark": ""}]
