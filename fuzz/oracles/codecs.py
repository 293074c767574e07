"""Each compression method as its library does it in one call, for what ours has found to be small."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zlib
from typing import TYPE_CHECKING

import brotli

from nixcache.compression import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

_XZ_MEMORY_LIMIT = 128 * 1024 * 1024
_ZSTD_WINDOW_LOG_MAX = 27


def _xz(data: bytes) -> bytes:
    """As the library's own, but with padding between streams, and nothing passed over behind the last."""
    out = b""
    while True:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_LIMIT)
        out += stream.decompress(data)
        if not stream.eof:
            raise EOFError
        data = stream.unused_data
        while data.startswith(bytes(4)):
            data = data[4:]
        if not data:
            return out


def _zstd(data: bytes) -> bytes:
    """What both of the library's modes give: in one step, which looks at no window, and in several."""
    out = b""
    rest = data
    while True:
        frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX})
        # A whole frame is read in one step. Behind its first byte, there is none.
        out += frame.decompress(rest[:1])
        out += frame.decompress(rest[1:])
        if not frame.eof:
            raise EOFError
        rest = frame.unused_data
        if not rest:
            break
    if out != zstd.decompress(data):
        raise ValueError
    return out


LIBRARIES: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.NONE: bytes,
    Compression.ZSTD: _zstd,
    Compression.XZ: _xz,
    Compression.BZIP2: bz2.decompress,
    Compression.GZIP: gzip.decompress,
    Compression.BR: brotli.decompress,
}
AS_STRICT = frozenset((Compression.NONE, Compression.XZ, Compression.BR))
"""Those whose library is as strict as ours. The others pass over what follows the last frame, and zstd's accepts frames
that some client does not."""
LIBRARY_ERRORS = (zstd.ZstdError, lzma.LZMAError, zlib.error, brotli.error, OSError, EOFError, ValueError)
"""What they raise."""
