"""Where inputs are kept: those in the repository, which every test run replays, and those found on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SEEDS: Final = Path(__file__).parent / "corpus"
"""One directory a target: what the seeds are made of, what reached new code, and every ``crash-…`` there ever was."""
FOUND: Final = Path(".fuzz")
"""Inputs and logs of runs on this machine, one directory a target; not in the repository."""


def seeds(target: str) -> list[Path]:
    """Return the target's inputs in the repository."""
    return sorted((SEEDS / target).iterdir())
