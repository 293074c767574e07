"""Multipart uploads under way are remembered, so that a crash costs no part twice and leaves none behind (I6)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hook.queue.multiparts import RecordedMultiparts
from hook.queue.queue import Queue
from hook.report import Report
from hook.transfer.multipart import Begun, Multiparts, Part
from nixcache.store_path import NIX_STORE

_PART = Part(b"\0" * 32, 5, '"etag"')


@pytest.fixture
def multiparts(tmp_path: Path) -> Iterator[RecordedMultiparts]:
    queue = Queue(tmp_path, NIX_STORE, report=Report())
    with queue.owned():
        yield queue.multiparts


def test_i6_what_was_begun_is_known_to_the_next_process(tmp_path: Path) -> None:
    queue = Queue(tmp_path, NIX_STORE, report=Report())
    multiparts: Multiparts = queue.multiparts
    with queue.owned():
        multiparts.begin("a", "first")
        multiparts.part("a", 2, _PART)
        multiparts.part("a", 1, _PART)
        multiparts.begin("b", "second")
    queue = Queue(tmp_path, NIX_STORE, report=Report())
    with queue.owned():
        assert sorted(queue.multiparts.all()) == [("a", "first"), ("b", "second")]
        assert queue.multiparts.begun("a") == Begun("first", {1: _PART, 2: _PART})
        assert queue.multiparts.begun("b") == Begun("second", {})
        assert queue.multiparts.begun("c") is None


def test_to_begin_anew_forgets_the_parts_of_before(multiparts: RecordedMultiparts) -> None:
    multiparts.begin("a", "first")
    multiparts.part("a", 1, _PART)
    multiparts.begin("a", "second")
    assert multiparts.begun("a") == Begun("second", {})


def test_what_has_ended_is_forgotten_and_takes_no_late_part(multiparts: RecordedMultiparts) -> None:
    multiparts.begin("a", "first")
    multiparts.end("a")
    multiparts.part("a", 1, _PART)
    multiparts.end("a")
    assert (multiparts.begun("a"), multiparts.all()) == (None, [])
    multiparts.begin("a", "second")
    assert multiparts.begun("a") == Begun("second", {})


def test_many_threads_remember_at_once(multiparts: RecordedMultiparts) -> None:
    keys = [f"key-{number}" for number in range(8)]

    def work(key: str) -> None:
        multiparts.begin(key, key)
        for number in range(1, 6):
            multiparts.part(key, number, _PART)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, keys))
    assert [multiparts.begun(key) for key in keys] == [Begun(key, dict.fromkeys(range(1, 6), _PART)) for key in keys]
