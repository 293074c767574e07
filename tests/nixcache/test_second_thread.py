"""The second thread: jobs in order, one failure, bounded memory, and nothing left behind."""

from __future__ import annotations

import threading

import pytest

from nixcache.second_thread import JOBS_AHEAD, SecondThread


def test_jobs_are_done_in_their_order() -> None:
    done: list[bytes] = []
    with SecondThread() as second:
        for number in range(100):
            second.give(done.append, b"%d" % number)
        second.wait()
    assert done == [b"%d" % number for number in range(100)]


def test_after_a_failure_nothing_is_done_and_it_is_raised_once() -> None:
    """I6: a job that runs on what a failed one left behind would fail for another reason."""
    done: list[bytes] = []
    go = threading.Event()

    def job(data: bytes) -> None:
        go.wait()
        if data == b"bad":
            raise ValueError(data)
        done.append(data)

    with SecondThread() as second:
        for data in (b"good", b"bad", b"later"):
            second.give(job, data)
        go.set()
        with pytest.raises(ValueError, match="bad"):
            second.wait()
        second.wait()
    assert done == [b"good"]


def test_whoever_gives_too_much_waits() -> None:
    """I7: what is given is held in memory."""
    go = threading.Event()
    given: list[int] = []

    def job(_data: bytes) -> None:
        go.wait()

    def give() -> None:
        with SecondThread() as second:
            for number in range(2 * JOBS_AHEAD):
                second.give(job, b"")
                given.append(number)

    giver = threading.Thread(target=give)
    giver.start()
    giver.join(0.2)
    assert len(given) == JOBS_AHEAD
    go.set()
    giver.join()
    assert len(given) == 2 * JOBS_AHEAD


def test_leaving_waits_for_one_job_and_forgets_the_others() -> None:
    go = threading.Event()
    started = threading.Event()
    done: list[bytes] = []

    def job(data: bytes) -> None:
        started.set()
        go.wait()
        done.append(data)

    with SecondThread() as second:
        for number in range(JOBS_AHEAD):
            second.give(job, b"%d" % number)
        started.wait()
        threading.Timer(0.1, go.set).start()
    assert done == [b"0"]
    assert not any(thread.name.startswith("second-thread") for thread in threading.enumerate())
