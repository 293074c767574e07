"""Time that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """What all of a simulated AWS reads its time from."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        """Start at ``now``."""
        self.now = now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def seconds(self) -> float:
        """Return seconds since the epoch: also a ``monotonic`` for whoever wants one."""
        return self.now.timestamp()
