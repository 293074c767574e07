"""From a method to what reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from nixcache.compression.bzip2 import BZIP2
from nixcache.compression.codec import FrameFormat
from nixcache.compression.frames import MAX_PIECE_SIZE, Frames
from nixcache.compression.gzip import GZIP
from nixcache.compression.method import Compression
from nixcache.compression.xz import XZ
from nixcache.compression.zstd import ZSTD
from nixcache.errors import Code, PermanentError

_FORMATS: Final[dict[Compression, FrameFormat]] = {
    Compression.ZSTD: ZSTD,
    Compression.XZ: XZ,
    Compression.BZIP2: BZIP2,
    Compression.GZIP: GZIP,
}
READABLE: Final = (Compression.NONE, *_FORMATS, Compression.BR)
"""The methods that a NAR can be submitted in."""


class Decompressor(Protocol):
    """Push compressed bytes in, take pieces of at most :data:`MAX_PIECE_SIZE` bytes out."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` decompresses to.

        Raises :class:`PermanentError` (``compressed-data-malformed``; ``too-large`` for too many frames).
        """

    def close(self) -> None:
        """Say that no more data comes; raises :class:`PermanentError` (``compressed-data-malformed``) if too early."""


def decompressor(compression: Compression) -> Decompressor:
    """Return a fresh decompressor; raises :class:`PermanentError` (``compression-unsupported``)."""
    if compression is Compression.NONE:
        return _Identity()
    if compression is Compression.BR:
        # Here, not above: a builder reads no compressed NAR, and goes without the package that this one needs.
        from nixcache.compression.br import BR  # noqa: PLC0415

        return Frames(BR)
    form = _FORMATS.get(compression)
    if form is None:
        raise PermanentError(
            Code.COMPRESSION_UNSUPPORTED,
            f"{compression.value} is not supported.",
            remedy=f"Upload with one of {', '.join(READABLE)}.",
            field="Compression",
        )
    return Frames(form)


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), MAX_PIECE_SIZE):
            yield data[start : start + MAX_PIECE_SIZE]

    def close(self) -> None:
        return
