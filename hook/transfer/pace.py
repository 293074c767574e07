"""How fast bytes leave this machine: a token bucket, and a request's body that asks it before each slice."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

SLICE_SIZE: Final = 64 * 1024
"""Bytes given to the socket at once. A socket's time-out is for all that is given to it at once (Python's ``sendall``),
so a part handed over whole would fail on every line that takes longer for it."""


class StoppedError(BaseException):
    """The transfer is to stop. No Exception, lest boto3 take it for the network's and try again."""


class Pace:
    """Lets ``max_bytes_per_second`` through, all connections together; None: as fast as it goes.

    After a pause, what one second allows goes at once, and no more. ``stop`` ends what is being sent.
    """

    def __init__(
        self, max_bytes_per_second: int | None, stop: Event, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = max_bytes_per_second
        self._stop = stop
        self._clock = clock
        self._lock = Lock()
        self._free_at = 0.0

    def wait(self, size: int) -> None:
        """Return when ``size`` bytes may go; raises :class:`StoppedError` once ``stop`` is set."""
        if self._stop.is_set() or (self._rate and self._stop.wait(self._delay(size, self._rate))):
            raise StoppedError

    def _delay(self, size: int, rate: int) -> float:
        with self._lock:
            now = self._clock()
            # The bucket is a moment: when all that was let through will have gone at this rate.
            self._free_at = max(self._free_at, now - 1) + size / rate
            return max(0.0, self._free_at - now)


class PacedBody:
    """A request's body in slices, each at its time; may be sent again from its beginning."""

    def __init__(self, data: bytearray, pace: Pace) -> None:
        self._data = memoryview(data)
        self._pace = pace

    def __iter__(self) -> Iterator[memoryview]:
        """Yield it from its beginning."""
        for start in range(0, len(self._data), SLICE_SIZE):
            piece = self._data[start : start + SLICE_SIZE]
            self._pace.wait(len(piece))
            yield piece

    def seek(self, position: int) -> None:
        """Go back to ``position``, which is 0: every iteration begins there."""
