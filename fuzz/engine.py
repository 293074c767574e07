"""One target under libFuzzer, in a process of its own: ``python -m fuzz.engine TARGET [libFuzzer's arguments]``.

Only this module knows atheris. It imports the target itself, late: what was imported before is not instrumented.
"""

from __future__ import annotations

import importlib
import random
import sys
from typing import TYPE_CHECKING

import atheris

if TYPE_CHECKING:
    from fuzz.target import Mutator, Target

_INSTRUMENTED = ["nixcache", "protocol"]


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    name, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=_INSTRUMENTED):
        targets: dict[str, Target] = importlib.import_module("fuzz.targets").TARGETS
    target = targets[name]
    atheris.Setup(
        [sys.argv[0], *arguments, f"-max_len={target.max_size}"],
        target.check,
        custom_mutator=_custom_mutator(target.mutate),
    )
    atheris.Fuzz()


def _custom_mutator(mutate: Mutator) -> object:
    def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
        def bytewise(part: bytes) -> bytes:
            mutated: bytes = atheris.Mutate(part, max(1, max_size - len(data) + len(part)))
            return mutated

        return mutate(data, random.Random(seed), bytewise)[:max_size]

    return custom_mutator


if __name__ == "__main__":
    main()
