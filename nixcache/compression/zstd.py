"""zstd (RFC 8878): the standard library's since Python 3.14."""

from __future__ import annotations

import sys
from typing import Final

from nixcache.compression.codec import Codec, FrameFormat
from nixcache.compression.zstd_blocks import BlockWalker

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_WINDOW_LOG_MAX: Final = 27
"""128 MiB, the largest window that Nix clients take: zstd's own default limit."""
MAX_LEADING_SKIPPABLE_SIZE: Final = 32 * 1024
"""Bytes of skippable frames before the first that holds data. libarchive 3.8 looks through 64 KiB of them for it, and
takes the file for something else if it has not found it by then."""

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC: Final = frozenset(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))


class _File:
    """Makes the codecs of one file's frames, and watches how it begins."""

    def __init__(self) -> None:
        self._skipped = 0
        self._data_begins = False

    def next_codec(self) -> Codec:
        return _Frame(self)

    def data_begins(self) -> None:
        self._data_begins = True

    def skip(self, size: int) -> None:
        self._skipped += size
        if not self._data_begins and self._skipped > MAX_LEADING_SKIPPABLE_SIZE:
            message = f"more than {MAX_LEADING_SKIPPABLE_SIZE} bytes of skippable frames stand before the data"
            raise zstd.ZstdError(message)


class _Frame:
    """Reads one frame, skippable or not, in the format that has stayed the same since zstd 0.8."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self._magic = b""
        self._uncounted = 0
        self._begun = False
        self._blocks = BlockWalker()
        self._decoded = 0
        self._decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX})

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return self._decoder.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        if len(self._magic) < len(_MAGIC):
            self._read_magic(data)
        self._uncounted += len(data)
        if self._magic not in _SKIPPABLE_MAGIC and not self._blocks.feed(data):
            message = "empty compressed block"
            raise zstd.ZstdError(message)
        if not self._begun:
            # A frame that libzstd has before it whole, it reads in one go, whatever window it asks for. A client sees
            # it in pieces, and refuses. One byte alone is a piece.
            self._begun = True
            self._decoder.decompress(data[:1], max_length)
            data = data[1:]
        piece = self._decoder.decompress(data, max_length)
        self._decoded += len(piece)
        if self.eof and self._blocks.content_size not in {None, self._decoded}:
            # In a frame that comes in pieces, libzstd does not compare if the last block is empty.
            message = "the contents have another size than their header says"
            raise zstd.ZstdError(message)
        self._uncounted -= len(self._decoder.unused_data)
        if self._magic in _SKIPPABLE_MAGIC:
            self._file.skip(self._uncounted)
            self._uncounted = 0
        return piece

    def _read_magic(self, data: bytes) -> None:
        self._magic += data[: len(_MAGIC) - len(self._magic)]
        if self._magic == _MAGIC:
            self._file.data_begins()
        elif len(self._magic) == len(_MAGIC) and self._magic not in _SKIPPABLE_MAGIC:
            # Formats before 0.8 are read or not as zstd was built, by code that asks nobody about windows.
            message = "unknown frame descriptor"
            raise zstd.ZstdError(message)


ZSTD: Final = FrameFormat(frame="frame", error=zstd.ZstdError, open_file=lambda: _File().next_codec)


def zstd_encoder(level: int | None) -> zstd.ZstdCompressor:
    """Return an encoder of one frame; ``level`` is zstd's own, ``None`` its default."""
    parameters = zstd.CompressionParameter
    level = zstd.COMPRESSION_LEVEL_DEFAULT if level is None else level
    # The checksum costs little and lets a client tell a damaged download before it has unpacked it.
    return zstd.ZstdCompressor(options={parameters.compression_level: level, parameters.checksum_flag: 1})
