"""What a fuzz target is: a name, a contract, and how to change an input so that it still means something."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Bytewise: TypeAlias = Callable[[bytes], bytes]
"""Changes bytes that mean nothing to it: libFuzzer's own mutations."""
Mutator: TypeAlias = Callable[[bytes, random.Random, Bytewise], bytes]
"""Changes an input by what it means; ``Bytewise`` does so for the parts of it that mean nothing further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``check`` returns for every input that keeps the contract and raises for any other; ``max_size`` is in bytes."""

    name: str
    check: Callable[[bytes], None]
    mutate: Mutator
    max_size: int = 4096
