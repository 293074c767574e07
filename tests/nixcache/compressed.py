"""Compressed bytes, good and bad, and what is made of them again."""

from __future__ import annotations

import lzma
import struct
import sys
import zlib
from collections.abc import Iterable

from nixcache.compression import MAX_PIECE_SIZE, Compression, compress, decompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SKIPPABLE_FRAME = struct.pack("<II", 0x184D2A50, 5) + b"hello"
"""A zstd frame that stands for nothing (RFC 8878, section 3.1.2)."""


def compressed(method: Compression, data: bytes) -> bytes:
    """Return ``data`` as one frame."""
    return b"".join(compress(method, [data]))


def decompressed(method: Compression, pieces: Iterable[bytes]) -> bytes:
    """Return what ``pieces`` decompress to; every piece that comes out is bounded, and none is empty."""
    codec = decompressor(method)
    out = bytearray()
    for piece in pieces:
        for produced in codec.feed(piece):
            assert 0 < len(produced) <= MAX_PIECE_SIZE
            out += produced
    codec.close()
    return bytes(out)


def zstd_window(log: int) -> bytes:
    """Return a valid zstd frame of three bytes whose header asks for a window of ``2 ** log`` bytes."""
    descriptor = b"\x00"  # no single segment, no checksum, no content size: a window descriptor follows
    block = (1 | 3 << 3).to_bytes(3, "little") + b"abc"  # the last block, raw
    return b"\x28\xb5\x2f\xfd" + descriptor + bytes([(log - 10) << 3]) + block


def xz_dictionary(code: int) -> bytes:
    """Return a valid xz stream whose block header asks for the dictionary size of ``code`` (40: 4 GiB)."""
    stream = bytearray(lzma.compress(b"abc", format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32))
    size = (stream[12] + 1) * 4
    header = stream[12 : 12 + size]
    assert header[2:4] == b"\x21\x01", "one LZMA2 filter with one byte of properties"
    header[4] = code
    header[-4:] = struct.pack("<I", zlib.crc32(header[:-4]))
    stream[12 : 12 + size] = header
    return bytes(stream)


def zeros(size: int, *, frame: int = 64 * 1024 * 1024) -> Iterable[bytes]:
    """Yield zstd frames that expand to ``size`` zeros: 10 GiB take 300 kB."""
    whole = compressed(Compression.ZSTD, bytes(frame))
    for _ in range(size // frame):
        yield whole


def without_checksum(data: bytes) -> bytes:
    """Return ``data`` as one zstd frame without a checksum."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 0})


def zstd_encoder(*, window_log: int) -> zstd.ZstdCompressor:
    """Return an encoder whose frames ask for a window of ``2 ** window_log`` bytes."""
    parameters = zstd.CompressionParameter
    return zstd.ZstdCompressor(options={parameters.window_log: window_log, parameters.compression_level: 1})
