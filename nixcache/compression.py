"""Compression methods behind one interface that never returns more than :data:`MAX_PIECE_SIZE` bytes at once.

Accepted is what Nix accepts: several frames or streams after one another, skippable and empty zstd frames, xz stream
padding. Refused is what Nix refuses: truncation, anything after the last frame, a window that clients cannot allocate.
"""

from __future__ import annotations

import lzma
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from nixcache.errors import Code, PermanentError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_PIECE_SIZE = 256 * 1024
"""Bytes that one step of a decompressor yields at the most, however small its input: a bomb goes off in small puffs."""
MAX_FRAMES = 100_000
"""Frames in one file. Each costs a decompressor, so a file of empty frames would buy hours of CPU for megabytes."""
ZSTD_WINDOW_LOG_MAX = 27
"""128 MiB, the largest window that Nix clients take: zstd's own default limit."""
XZ_MEMORY_LIMIT = 128 * 1024 * 1024
"""Bytes; preset 9 needs 65 MiB."""
_SLICE_SIZE = 64 * 1024
"""Input handed to a codec at once: it copies all that follows a frame, so many small ones would cost the square."""


class Compression(StrEnum):
    """Every method name that Nix knows (src/libutil/compression.cc), readable here or not."""

    NONE = "none"
    BR = "br"
    BZIP2 = "bzip2"
    COMPRESS = "compress"
    GRZIP = "grzip"
    GZIP = "gzip"
    LRZIP = "lrzip"
    LZ4 = "lz4"
    LZIP = "lzip"
    LZMA = "lzma"
    LZOP = "lzop"
    XZ = "xz"
    ZSTD = "zstd"

    @property
    def extension(self) -> str:
        """What follows ``.nar`` in a NAR's file name, dot included; Nix gives most methods none."""
        return _EXTENSIONS.get(self, "")


_EXTENSIONS = {
    Compression.BR: ".br",
    Compression.BZIP2: ".bz2",
    Compression.LZ4: ".lz4",
    Compression.LZIP: ".lzip",
    Compression.XZ: ".xz",
    Compression.ZSTD: ".zst",
}


class Decompressor(Protocol):
    """Push compressed bytes in, take pieces of at most :data:`MAX_PIECE_SIZE` bytes out."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` decompresses to; raises :class:`PermanentError` (``compressed-data-malformed``)."""

    def close(self) -> None:
        """Say that no more data comes; raises :class:`PermanentError` when it ends too early."""


class _Codec(Protocol):
    """What the decompressors of ``lzma`` and ``zstd`` have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes: ...


def decompressor(compression: Compression) -> Decompressor:
    """Return a fresh decompressor; raises :class:`PermanentError` (``compression-unsupported``)."""
    match compression:
        case Compression.NONE:
            return _Identity()
        case Compression.ZSTD:
            return _Frames(_zstd_codec, padding=0)
        case Compression.XZ:
            return _Frames(_xz_codec, padding=4)
    raise PermanentError(
        Code.COMPRESSION_UNSUPPORTED,
        f"{compression.value} is not supported.",
        remedy="Upload with zstd, xz or none.",
        field="Compression",
    )


def compress(compression: Compression, chunks: Iterable[bytes], *, level: int | None = None) -> Iterator[bytes]:
    """Yield ``chunks`` compressed, as one frame; ``level`` is the codec's own, ``None`` its default.

    Raises :class:`PermanentError` (``compression-unsupported``).
    """
    encoder: zstd.ZstdCompressor | lzma.LZMACompressor
    match compression:
        case Compression.NONE:
            yield from chunks
            return
        case Compression.ZSTD:
            # The checksum costs little and lets a client tell a damaged download before it has unpacked it.
            parameters = zstd.CompressionParameter
            level = zstd.COMPRESSION_LEVEL_DEFAULT if level is None else level
            encoder = zstd.ZstdCompressor(options={parameters.compression_level: level, parameters.checksum_flag: 1})
        case Compression.XZ:
            encoder = lzma.LZMACompressor(check=lzma.CHECK_CRC64, preset=level)
        case _:
            raise PermanentError(
                Code.COMPRESSION_UNSUPPORTED, f"{compression.value} is not supported.", remedy="Use zstd, xz or none."
            )
    for chunk in chunks:
        if piece := encoder.compress(chunk):
            yield piece
    yield encoder.flush()


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), MAX_PIECE_SIZE):
            yield data[start : start + MAX_PIECE_SIZE]

    def close(self) -> None:
        return


class _Frames:
    """Frames (zstd) or streams (xz) after one another, with zero padding between them in multiples of ``padding``."""

    def __init__(self, new_codec: Callable[[], _Codec], *, padding: int) -> None:
        self._new_codec = new_codec
        self._padding = padding
        self._padded = 0
        self._codec: _Codec | None = None
        self._frames = 0
        self._offset = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _SLICE_SIZE):
            piece = data[start : start + _SLICE_SIZE]
            yield from self._feed_slice(piece)
            self._offset += len(piece)

    def close(self) -> None:
        if self._codec is not None or self._frames == 0:
            raise self._malformed("The data ends inside a frame." if self._frames else "There is no data.")
        self._check_padding()

    def _feed_slice(self, data: bytes) -> Iterator[bytes]:
        while True:
            codec = self._codec
            if codec is None:
                data = self._skip_padding(data)
                if not data:
                    return
                codec = self._start_frame()
            try:
                piece = codec.decompress(data, MAX_PIECE_SIZE)
            except (zstd.ZstdError, lzma.LZMAError) as error:
                raise self._malformed(f"The codec says: {error}.") from error
            data = b""
            if piece:
                yield piece
            if codec.eof:
                data = codec.unused_data
                self._codec = None
            elif codec.needs_input:
                return

    def _start_frame(self) -> _Codec:
        self._check_padding()
        self._frames += 1
        if self._frames > MAX_FRAMES:
            raise PermanentError(
                Code.TOO_LARGE, f"The file has more than {MAX_FRAMES} frames.", remedy="Compress it in larger frames."
            )
        self._codec = self._new_codec()
        return self._codec

    def _skip_padding(self, data: bytes) -> bytes:
        if not self._padding or not self._frames:
            return data
        rest = data.lstrip(b"\0")
        self._padded += len(data) - len(rest)
        return rest

    def _check_padding(self) -> None:
        if self._padding and self._padded % self._padding:
            raise self._malformed(f"Stream padding comes in multiples of {self._padding} bytes.")

    def _malformed(self, problem: str) -> PermanentError:
        return PermanentError(
            Code.COMPRESSED_DATA_MALFORMED,
            problem,
            remedy="Compress the NAR again and upload it whole.",
            field="URL",
            offset=self._offset,
        )


def _zstd_codec() -> _Codec:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX})


def _xz_codec() -> _Codec:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY_LIMIT)
