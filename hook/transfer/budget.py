"""What all transfers together may take: memory for raw frames, compressed frames and parts, and the way out."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY: Final = 64 * 1024 * 1024
"""Bytes. With Python, boto3 and the compressors' own tables on two cores, the process stays below 200 MiB."""


class Budget:
    """Hands out shares. Safe to use from several threads."""

    def __init__(self, memory: int = MEMORY, *, max_bytes_per_second: int | None = None) -> None:
        """Have ``memory`` bytes to give; None: as many bytes per second as the network takes."""
        self.max_bytes_per_second = max_bytes_per_second
        self._memory = memory
        self._free = memory
        self._changed = Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def share(self, minimum: int) -> Iterator[Share]:
        """Wait until ``minimum`` bytes are free, first come first served, and keep them for one transfer.

        Who waits holds nothing, and who holds something never waits for more: so no two transfers can wait for each
        other. A minimum beyond the whole budget is granted when nobody else has a share.
        """
        minimum = min(minimum, self._memory)
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self._free >= minimum)
                self._free -= minimum
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        share = Share(self, minimum)
        try:
            yield share
        finally:
            self._give(share.kept)

    def _take(self, size: int) -> bool:
        with self._changed:
            # Whoever waits for a share comes before those who would only go faster with more.
            if self._waiting or self._free < size:
                return False
            self._free -= size
            return True

    def _give(self, size: int) -> None:
        with self._changed:
            self._free += size
            self._changed.notify_all()


class Share:
    """What one transfer holds. Only the thread that asked for it may use it."""

    def __init__(self, budget: Budget, minimum: int) -> None:
        self._budget = budget
        self._minimum = minimum
        self._held = 0
        self.kept = minimum
        """Bytes that are out of the budget for this share: what it holds, and never less than its minimum."""

    def take(self, size: int) -> bool:
        """Hold ``size`` bytes more, if that is possible now; up to the minimum it always is."""
        more = max(0, self._held + size - self.kept)
        if more and not self._budget._take(more):  # noqa: SLF001 - the two are one
            return False
        self._held += size
        self.kept += more
        return True

    def overdraw(self, size: int) -> None:
        """Hold ``size`` bytes more at any rate: for a step larger than the budget, whose share is all of it."""
        self._held += size

    def give(self, size: int) -> None:
        """Hold ``size`` bytes less."""
        self._held -= size
        spare = self.kept - max(self._minimum, self._held)
        if spare > 0:
            self.kept -= spare
            self._budget._give(spare)  # noqa: SLF001 - the two are one
