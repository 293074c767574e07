"""What the uploader compresses with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from nixcache.compression.method import Compression
from nixcache.compression.xz import xz_encoder
from nixcache.compression.zstd import zstd_encoder
from nixcache.errors import Code, PermanentError


class _Encoder(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def compress(compression: Compression, chunks: Iterable[bytes], *, level: int | None = None) -> Iterator[bytes]:
    """Yield ``chunks`` compressed, as one frame; ``level`` is the codec's own, ``None`` its default.

    Raises :class:`PermanentError` (``compression-unsupported``) for all but zstd, xz and none.
    """
    encoder: _Encoder
    match compression:
        case Compression.NONE:
            yield from chunks
            return
        case Compression.ZSTD:
            encoder = zstd_encoder(level)
        case Compression.XZ:
            encoder = xz_encoder(level)
        case _:
            raise PermanentError(
                Code.COMPRESSION_UNSUPPORTED,
                f"Nothing is compressed with {compression.value} here.",
                remedy="Use zstd, xz or none.",
            )
    for chunk in chunks:
        if piece := encoder.compress(chunk):
            yield piece
    yield encoder.flush()
