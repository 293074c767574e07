"""What reads one frame, and how files are made of frames: all that differs from format to format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Codec(Protocol):
    """What reads one frame in bounded steps; the standard library's decompressors have this shape."""

    @property
    def eof(self) -> bool:
        """Whether the frame is over, its checksum included."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes of what was handed in so far."""

    @property
    def unused_data(self) -> bytes:
        """What was handed in behind the frame's end."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return at most ``max_length`` bytes; ``data`` is empty unless :attr:`needs_input`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFormat:
    """How the files of one method are made of frames."""

    frame: str
    """The format's own word for one."""
    error: type[Exception]
    """What a codec raises when it is handed something else."""
    open_file: Callable[[], Callable[[], Codec]]
    """Called for each file; what it returns is called for each frame in it."""
    several: bool = True
    """Whether one may follow another."""
    padding: int = 0
    """Zeros may follow a frame in multiples of so many bytes; 0: none may."""
