"""``python -m fuzz.distil``: takes into the corpora what fuzzing found here and reaches what no input there does.

What it reaches is counted in branches of nixcache and protocol; of two inputs that reach the same the smaller is taken,
and the one for the target that comes first: a parser's input is simpler than a whole submission.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

from coverage import Coverage

from fuzz.corpus import FOUND, SEEDS, seeds
from fuzz.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

    from fuzz.target import Target

Branch: TypeAlias = tuple[str, int, int]

_LARGEST = 2048
"""Bytes: a corpus that is read by every test run, and by people, has room for small inputs only."""


def main() -> None:
    """Distil all that has been found, target by target, and say how much that was."""
    reached: set[Branch] = set()
    for target in TARGETS.values():
        for path in seeds(target.name):
            reached |= _branches(target, path)
        taken = 0
        for path in sorted(_found(target), key=lambda path: path.stat().st_size):
            new = _branches(target, path) - reached
            if new:
                data = path.read_bytes()
                (SEEDS / target.name / f"found-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
                reached |= new
                taken += 1
        print(f"{target.name:24}{taken:>4} taken, {len(reached):>5} branches reached so far")


def _found(target: Target) -> list[Path]:
    return [path for path in (FOUND / target.name / "found").glob("*") if path.stat().st_size <= _LARGEST]


def _branches(target: Target, path: Path) -> set[Branch]:
    coverage = Coverage(data_file=None, branch=True, source=["nixcache", "protocol"])
    data = path.read_bytes()
    with coverage.collect():
        target.check(data)
    measured = coverage.get_data()
    return {(name, *arc) for name in measured.measured_files() for arc in measured.arcs(name) or ()}


if __name__ == "__main__":
    main()
