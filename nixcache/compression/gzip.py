"""gzip (RFC 1952): zlib checks every header bit, CRC and size, as libarchive, which Nix uses, does not."""

from __future__ import annotations

import zlib
from typing import Final

from nixcache.compression.codec import FrameFormat

MAX_GZIP_HEADER_SIZE: Final = 128 * 1024
"""Bytes. libarchive 3.8 takes a member whose name or comment is much longer for garbage at the end."""

_LARGEST_WINDOW_IN_GZIP: Final = 16 + zlib.MAX_WBITS
_FIXED_SIZE: Final = 10
_EXTRA, _NAME, _COMMENT = 4, 8, 16


class _Member:
    """Gives zlib's decompressor, of some 40 kB, the shape of the others, and measures the header."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=_LARGEST_WINDOW_IN_GZIP)
        self._header: bytes | None = b""

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        if self._header is not None:
            self._header = _unfinished_header(self._header + data)
        return self._inflate.decompress(self._inflate.unconsumed_tail or data, max_length)


def _unfinished_header(member: bytes) -> bytes | None:
    """Return ``member`` if its header goes on behind it; raises :class:`zlib.error` when it is too long."""
    size = _header_size(member)
    if (size or len(member)) > MAX_GZIP_HEADER_SIZE:
        message = f"the header is longer than {MAX_GZIP_HEADER_SIZE} bytes"
        raise zlib.error(message)
    return member if size is None else None


def _header_size(member: bytes) -> int | None:
    if len(member) < _FIXED_SIZE + 2:
        return None
    flags, size = member[3], _FIXED_SIZE
    if flags & _EXTRA:
        size += 2 + int.from_bytes(member[size : size + 2], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            size = member.find(b"\0", size) + 1
            if not size:
                return None
    return size


GZIP: Final = FrameFormat(frame="member", error=zlib.error, open_file=lambda: _Member)
