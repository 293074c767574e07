"""What a run costs, and which of several rounds to believe."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One run: wall clock and CPU in seconds, and in bytes the most memory that was held, where that is known."""

    seconds: float
    cpu_seconds: float
    peak_memory: int | None = None


@dataclass(frozen=True, slots=True)
class Rounds:
    """The same work a few times."""

    costs: Sequence[Cost]

    @property
    def best(self) -> float:
        """Seconds of the round that the machine disturbed least."""
        return min(cost.seconds for cost in self.costs)

    @property
    def median(self) -> float:
        """Seconds of a usual round."""
        return statistics.median(cost.seconds for cost in self.costs)

    @property
    def cpu(self) -> float:
        """Seconds of all CPUs together, in the round that needed least."""
        return min(cost.cpu_seconds for cost in self.costs)

    @property
    def peak_memory(self) -> int | None:
        """Bytes, of the round that needed most."""
        return max((cost.peak_memory for cost in self.costs if cost.peak_memory is not None), default=None)
