"""How long a queued path rests after trouble, by what the trouble was."""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from hook.errors import Cause


class Patience(NamedTuple):
    """Seconds: after the first failed try, and at the most."""

    first: float
    most: float


PATIENCE: Final = {
    # A dropped connection is over at once; a laptop in a train asks every five minutes.
    Cause.NETWORK: Patience(2, 300),
    # S3 lets a prefix grow within minutes.
    Cause.THROTTLED: Patience(5, 120),
    # Refreshed by themselves within a minute, or by somebody who will not want to wait long afterwards.
    Cause.CREDENTIALS: Patience(15, 120),
    # Somebody has to mend it: asking more often would only fill logs.
    Cause.SERVICE: Patience(30, 900),
    Cause.MACHINE: Patience(10, 600),
}
LONGEST: Final = max(patience.most for patience in PATIENCE.values())
"""Seconds. Nothing is ever postponed further, so what lies further ahead was written by a clock that was fast."""

_MANY: Final = 16
"""Doublings after which every patience has reached its most; more would overflow."""


def delay(cause: Cause, tries: int) -> float:
    """Return the seconds until the next try, after ``tries`` (from 1) in vain: doubled each time, with jitter.

    Jitter, because a fleet that lost its network together must not come back in step.
    """
    first, most = PATIENCE[cause]
    return min(most, first * 2.0 ** min(tries - 1, _MANY)) * random.uniform(0.5, 1)  # noqa: S311
