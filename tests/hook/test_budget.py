"""Memory and bandwidth: never more than there is, first come first served, and nobody waits for ever."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from hook.transfer.budget import Budget
from hook.transfer.pace import SLICE_SIZE, Pace, PacedBody, StoppedError


def test_a_share_holds_its_minimum_whatever_the_others_take() -> None:
    budget = Budget(100)
    with budget.share(40) as first, budget.share(40) as second:
        assert first.take(60)
        assert second.take(40)
        assert not second.take(1)
        first.give(10)
        assert second.take(10)
        assert not first.take(1)


def test_what_is_given_back_below_the_minimum_stays_with_the_share() -> None:
    budget = Budget(100)
    with budget.share(60) as first, budget.share(40) as second:
        assert first.take(60)
        first.give(60)
        assert second.take(40)
        assert not second.take(1)


def test_a_share_that_ends_gives_everything_back() -> None:
    budget = Budget(100)
    with budget.share(10) as share:
        assert share.take(100)
    with budget.share(100) as share:
        assert share.take(100)


def test_more_than_the_whole_budget_goes_through_alone() -> None:
    budget = Budget(100)
    with budget.share(1000) as share:
        assert not share.take(101)
        share.overdraw(101)
        share.give(101)
        assert share.kept == 100


def test_who_waits_comes_before_those_who_want_more() -> None:
    budget = Budget(100)
    got = Event()

    def wait() -> None:
        with budget.share(80):
            got.set()

    with budget.share(10) as share:
        assert share.take(30)
        thread = threading.Thread(target=wait)
        thread.start()
        # Until the other waits, there is enough for more; from then on there never is.
        while share.take(1):
            share.give(1)
        assert not got.is_set()
        share.give(30)
        assert got.wait(60)
        thread.join()


def test_many_transfers_that_want_everything_all_come_to_their_end() -> None:
    """No two of them can wait for each other: who waits holds nothing."""
    budget = Budget(100)
    lock = threading.Lock()
    held = peak = 0

    def transfer(number: int) -> int:
        nonlocal held, peak
        with budget.share(20 + number % 40) as share:
            taken = 0
            for _ in range(50):
                if share.take(5):
                    taken += 5
                    with lock:
                        held += 5
                        peak = max(peak, held)
                elif taken:
                    with lock:
                        held -= 5
                    share.give(5)
                    taken -= 5
            with lock:
                held -= taken
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(transfer, range(60))) == list(range(60))
    assert peak <= 100
    with budget.share(100) as share:
        assert share.take(100), "everything came back"


class _Clock(Event):
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0
        return self.is_set()

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("size", [1_000, 30_000, 100_000])
def test_no_more_than_the_rate_goes_whatever_the_pieces(size: int) -> None:
    clock = _Clock()
    pace = Pace(100_000, clock, clock=clock)
    for _ in range(3_000_000 // size):
        pace.wait(size)
    # What one second allows goes at once in the beginning.
    assert clock.now - 1000 == pytest.approx(29, abs=0.01)


def test_a_pause_saves_up_no_more_than_a_second() -> None:
    clock = _Clock()
    pace = Pace(100_000, clock, clock=clock)
    clock.now += 3600
    before = clock.now
    for _ in range(20):
        pace.wait(100_000)
    assert clock.now - before == pytest.approx(19)


def test_without_a_rate_nothing_waits() -> None:
    clock = _Clock()
    Pace(None, clock, clock=clock).wait(10**12)
    assert clock.now == 1000


def test_what_is_to_stop_stops_before_the_next_slice() -> None:
    stop = Event()
    body = iter(PacedBody(bytearray(3 * SLICE_SIZE), Pace(None, stop)))
    next(body)
    stop.set()
    with pytest.raises(StoppedError):
        next(body)


def test_a_body_may_be_sent_again_from_its_beginning() -> None:
    data = bytearray(range(256)) * 700
    body = PacedBody(data, Pace(None, Event()))
    assert b"".join(body) == data
    body.seek(0)
    assert b"".join(body) == data
    assert max(map(len, body)) == SLICE_SIZE
