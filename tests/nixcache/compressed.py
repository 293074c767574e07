"""Compressed bytes, good and bad, and what is made of them again.

Nearly every header field is written by hand here, from the formats' specifications: no encoder writes the odd ones.
"""

from __future__ import annotations

import bz2
import itertools
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence

import brotli

from nixcache.compression import MAX_PIECE_SIZE, Compression, compress, decompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def skippable_frame(data: bytes) -> bytes:
    """Return a zstd frame that stands for nothing (RFC 8878, section 3.1.2)."""
    return struct.pack("<II", 0x184D2A50, len(data)) + data


SKIPPABLE_FRAME = skippable_frame(b"hello")


def flipped(data: bytes, at: int) -> bytes:
    """Return ``data`` with the lowest bit of one byte changed."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def compressed(method: Compression, data: bytes) -> bytes:
    """Return ``data`` as one frame, in any method that can be read."""
    match method:
        case Compression.BZIP2:
            return bz2.compress(data)
        case Compression.GZIP:
            return gzip_member(data)
        case Compression.BR:
            return bytes(brotli.compress(data, quality=5))
        case _:
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


def zstd_frame(descriptor: int, *fields: bytes, block: bytes, kind: int = 0) -> bytes:
    """Return a zstd frame of one block: raw (``kind`` 0), repeated (1), compressed (2) or reserved (3)."""
    header = b"\x28\xb5\x2f\xfd" + bytes([descriptor]) + b"".join(fields)
    return header + (1 | kind << 1 | len(block) << 3).to_bytes(3, "little") + block


def zstd_window(log: int, data: bytes = b"abc") -> bytes:
    """Return a valid zstd frame of ``data`` whose header asks for a window of ``2 ** log`` bytes."""
    return zstd_frame(0, bytes([(log - 10) << 3]), block=data)


def zstd_version_0_7(data: bytes) -> bytes:
    """Return a frame as zstd wrote it before its format was settled; some builds of it read this on."""
    header = b"\x27\xb5\x2f\xfd" + b"\x20" + bytes([len(data)])
    return header + b"\x40" + len(data).to_bytes(2, "big") + data + b"\xc0\0\0"


def without_checksum(data: bytes) -> bytes:
    """Return ``data`` as one zstd frame without a checksum."""
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 0})


def zstd_encoder(*, window_log: int) -> zstd.ZstdCompressor:
    """Return an encoder whose frames ask for a window of ``2 ** window_log`` bytes."""
    parameters = zstd.CompressionParameter
    return zstd.ZstdCompressor(options={parameters.window_log: window_log, parameters.compression_level: 1})


def bomb(method: Compression, opening: bytes, size: int, *, frame: int = 64 * 1024 * 1024) -> Iterator[bytes]:
    """Yield a file that expands to ``opening`` and ``size`` zeros: 10 GiB take 13 kB in bzip2 and 16 kB in brotli."""
    if method is not Compression.BR:
        yield compressed(method, opening)
        yield from itertools.repeat(compressed(method, bytes(frame)), size // frame)
        return
    encoder = brotli.Compressor(quality=5)
    yield encoder.process(opening) + encoder.flush()
    yield encoder.process(bytes(frame)) + encoder.flush()
    # Whole bytes that say "go on like that", as often as one likes.
    yield from itertools.repeat(encoder.process(bytes(frame)) + encoder.flush(), size // frame - 1)
    yield BR_LAST_BLOCK


XZ_NO_CHECK, XZ_CRC32 = 0, 1


def xz_stream(
    *blocks: bytes,
    check: int = XZ_CRC32,
    check_value: bytes | None = None,
    filters: Sequence[tuple[int, bytes]] = (),
    dictionary: int = 0,
) -> bytes:
    """Return an xz stream of uncompressed chunks.

    ``check`` is the number of an integrity check and ``check_value`` what stands for it, the right CRC32 by default;
    ``filters`` (number and properties) come before LZMA2, whose dictionary size has the code ``dictionary``.
    """
    flags = bytes([0, check])
    stream = b"\xfd7zXZ\0" + flags + _crc32(flags)
    records = b""
    chain = b"".join(bytes([number, len(given)]) + given for number, given in (*filters, (0x21, bytes([dictionary]))))
    for data in blocks:
        header = bytes([len(filters)]) + chain
        header += bytes(-(len(header) + 5) % 4)
        header = bytes([(len(header) + 1) // 4]) + header
        chunk = b"\x01" + (len(data) - 1).to_bytes(2, "big") + data if data else b""
        block = header + _crc32(header) + chunk + b"\0"
        padding = bytes(-len(block) % 4)
        value = check_value if check_value is not None else b"" if check == XZ_NO_CHECK else _crc32(data)
        records += _xz_number(len(block) + len(value)) + _xz_number(len(data))
        stream += block + padding + value
    index = b"\0" + _xz_number(len(blocks)) + records
    index += bytes(-len(index) % 4)
    index += _crc32(index)
    footer = struct.pack("<I", len(index) // 4 - 1) + flags
    return stream + index + _crc32(footer) + footer + b"YZ"


def xz_dictionary(code: int, data: bytes = b"abc") -> bytes:
    """Return a valid xz stream whose block header asks for the dictionary size of ``code`` (40: 4 GiB)."""
    return xz_stream(data, dictionary=code)


def _crc32(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data))


def _xz_number(value: int) -> bytes:
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


GZIP_TEXT, GZIP_HEADER_CRC, GZIP_EXTRA, GZIP_NAME, GZIP_COMMENT, GZIP_RESERVED = 1, 2, 4, 8, 16, 32


def gzip_member(
    data: bytes, *, flags: int = 0, fields: bytes = b"", crc: int | None = None, size: int | None = None
) -> bytes:
    """Return a gzip member with a header of ``flags`` and their ``fields``; CRC and size are right by default.

    A right header CRC is added where ``flags`` announce one.
    """
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(5) + b"\x03" + fields
    if flags & GZIP_HEADER_CRC:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    return header + deflated(data) + gzip_trailer(data, crc=crc, size=size)


def gzip_trailer(data: bytes, *, crc: int | None = None, size: int | None = None) -> bytes:
    """Return what follows the deflated ``data`` in a member."""
    crc = zlib.crc32(data) if crc is None else crc
    return struct.pack("<II", crc, len(data) if size is None else size)


def deflated(data: bytes) -> bytes:
    """Return ``data`` in deflate (RFC 1951) without any container."""
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return encoder.compress(data) + encoder.flush()


BR_LAST_BLOCK = b"\x03"
BR_EMPTY_BLOCK = b"\x06"
"""A metadata block of brotli that holds nothing: one byte, if it begins with one."""


def br_stream(data: bytes, *, between: bytes = b"", window: str = "0", padding: int = 0) -> bytes:
    """Return a brotli stream of one uncompressed block, of 64 KiB at most, and of the empty last block.

    ``window`` are the bits of its size ("0": 64 KiB), first bit first; ``between`` stands before the last block,
    whose two bits are followed by ``padding`` (6 bits that must be zero).
    """
    # Not the last, four digits of the length, which is one less, uncompressed; then whole bytes.
    bits = window + "0" + "00" + f"{len(data) - 1:016b}"[::-1] + "1"
    header = int(bits[::-1], 2).to_bytes((len(bits) + 7) // 8, "little")
    return header + data + between + bytes([BR_LAST_BLOCK[0] | padding << 2])


def br_metadata(data: bytes) -> bytes:
    """Return a metadata block of brotli, of 1 to 256 bytes, that begins with a whole byte."""
    return (0x06 | 1 << 4 | (len(data) - 1) << 6).to_bytes(2, "little") + data


BR_LARGE_WINDOW = "1000100" + "0" + f"{30:06b}"[::-1]
"""A window of 2 ** 30 bytes, as the extension of large windows writes it."""
