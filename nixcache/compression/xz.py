"""xz (the .xz file format, version 1.2): the standard library's, with a bound on its memory."""

from __future__ import annotations

import lzma
from typing import Final

from nixcache.compression.codec import Codec, FrameFormat

XZ_MEMORY_LIMIT: Final = 128 * 1024 * 1024
"""Bytes; preset 9 needs 65 MiB. Nix clients have no limit."""


def _codec() -> Codec:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY_LIMIT)


XZ: Final = FrameFormat(frame="stream", error=lzma.LZMAError, open_file=lambda: _codec, padding=4)


def xz_encoder(level: int | None) -> lzma.LZMACompressor:
    """Return an encoder of one stream; ``level`` is xz's preset, ``None`` its default."""
    return lzma.LZMACompressor(check=lzma.CHECK_CRC64, preset=level)
