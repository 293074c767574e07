"""How NARs are compressed on their way: the method and its level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nixcache.compression import Compression

LEVELS: Final = {Compression.ZSTD: range(1, 20), Compression.XZ: range(10), Compression.NONE: range(1)}
"""What each method takes; above zstd's 19 the window outgrows what older Nix clients allocate."""
DEFAULT_LEVELS: Final = {Compression.ZSTD: 3, Compression.XZ: 6, Compression.NONE: 0}


@dataclass(frozen=True, slots=True)
class Packing:
    """A method among :data:`LEVELS`, and a level of its own; raises ValueError for any other."""

    compression: Compression
    level: int

    def __post_init__(self) -> None:
        """Check both."""
        if self.level not in LEVELS.get(self.compression, ()):
            raise ValueError(f"{self.compression.value} has no level {self.level} here.")
