"""The option that bounds how long a command waits for verdicts."""

from __future__ import annotations

import argparse
import math
from typing import Final

DEFAULT_SECONDS: Final = 600.0


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Register it."""
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_SECONDS,
        metavar="SECONDS",
        help="how long to wait for verdicts (default: %(default).0f)",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    # NaN is neither before nor after anything: with it, a wait would never end.
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(text)
    return seconds


_seconds.__name__ = "number of seconds"  # argparse says "invalid … value"
