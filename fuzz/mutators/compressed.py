"""Mutations of compressed data behind its checksums: decompressed, changed, and compressed again in another way."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import struct
import sys
import zlib
from typing import TYPE_CHECKING

import brotli

from fuzz.decompression import decompress
from fuzz.mutators.archives import mutate_archive
from nixcache.compression import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from fuzz.target import Bytewise

_BLIND = 0.4
_MOST_PLAIN = 64 * 1024
_SKIPPABLE_FRAME = struct.pack("<II", 0x184D2A50, 5) + b"hello"
_BETWEEN = (b"", b"", b"", b"", bytes(1), bytes(4), bytes(8), b"x", _SKIPPABLE_FRAME)


def mutate_compressed(method: Compression, data: bytes, source: random.Random, bytewise: Bytewise) -> bytes:
    """Return ``data`` with its file or its contents changed."""
    if source.random() < _BLIND:
        return bytewise(data)
    plain = decompress(method, [data], enough=_MOST_PLAIN).data
    match source.randrange(4):
        case 0:
            plain = bytewise(plain)
        case 1:
            plain = mutate_archive(plain, source, bytewise)
        case 2:
            plain *= source.choice((0, 2, 50))
        case _:
            pass
    return compressed(method, plain[:_MOST_PLAIN], source)


def compressed(method: Compression, plain: bytes, source: random.Random) -> bytes:
    """Return ``plain`` as a few frames, each made in its own way, sometimes with something between them."""
    cut = source.choice((0, 0, 0, source.randint(0, len(plain))))
    frames = [frame(method, part, source) for part in ((plain[:cut], plain[cut:]) if cut else (plain,))]
    return source.choice(_BETWEEN).join(frames) + source.choice(_BETWEEN)


def frame(method: Compression, plain: bytes, source: random.Random) -> bytes:
    """Return ``plain`` as one frame, made in some way."""
    match method:
        case Compression.ZSTD:
            parameters = zstd.CompressionParameter
            options: dict[int, int] = {
                parameters.compression_level: source.choice((-5, 1, 3)),
                parameters.window_log: source.choice((10, 17, 21, 27)),
                parameters.checksum_flag: source.randrange(2),
                parameters.content_size_flag: source.randrange(2),
            }
            return zstd.compress(plain, options=options)
        case Compression.XZ:
            filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << source.choice((12, 16, 20))}]
            if source.random() < _BLIND:
                filters.insert(0, {"id": source.choice((lzma.FILTER_DELTA, lzma.FILTER_X86, lzma.FILTER_ARM))})
            check = source.choice((lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256))
            return lzma.compress(plain, check=check, filters=filters)
        case Compression.BZIP2:
            return bz2.compress(plain, source.choice((1, 9)))
        case Compression.GZIP:
            return _gzip_header_fields(gzip.compress(plain, source.choice((0, 1, 9)), mtime=0), source)
        case Compression.BR:
            encoded: bytes = brotli.compress(plain, quality=source.choice((0, 5)), lgwin=source.choice((10, 16, 24)))
            return encoded
        case _:
            return plain


def _gzip_header_fields(member: bytes, source: random.Random) -> bytes:
    """Return ``member`` with some of a gzip header's optional fields (RFC 1952, section 2.3.1)."""
    flags = source.choice((0, 0, source.randrange(32)))
    fields = b""
    if flags & 4:
        fields += struct.pack("<H", 3) + b"abc"
    fields += b"name\0" * bool(flags & 8) + b"comment\0" * bool(flags & 16)
    header = member[:3] + bytes([flags]) + member[4:10] + fields
    if flags & 2:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    return header + member[10:]
