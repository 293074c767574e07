"""Compressed NARs that are right, odd or wrong, one by one, and the generations of Nix that install them.

Every file is one of :data:`NAR` or was made from one. Nix leaves decompression to libarchive, but for brotli, and what
libarchive does not look at, Nix does not either: that is where Assay is stricter than all of them.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from typing import NamedTuple

import brotli

from nixcache.compression import Compression
from tests.nixcache.compressed import (
    BR_EMPTY_BLOCK,
    BR_LARGE_WINDOW,
    GZIP_COMMENT,
    GZIP_EXTRA,
    GZIP_HEADER_CRC,
    GZIP_NAME,
    GZIP_RESERVED,
    GZIP_TEXT,
    SKIPPABLE_FRAME,
    XZ_NO_CHECK,
    br_metadata,
    br_stream,
    compressed,
    deflated,
    flipped,
    gzip_member,
    gzip_trailer,
    skippable_frame,
    without_checksum,
    xz_dictionary,
    xz_stream,
    zstd_frame,
    zstd_version_0_7,
    zstd_window,
)
from tests.nixcache.nar_model import File, nar

ALL = ("2.8", "2.26", "2.34")
OLDER = ("2.8", "2.26")
OLDEST = ("2.8",)

# Neither a filter of xz for machine code nor that for RISC-V finds anything to change in it.
NAR = nar(File(b"assay " * 100))
"""What every file is expected to hold: about 700 bytes, incompressible parts and compressible ones."""
HALVES = NAR[:300], NAR[300:]


class CompressionCase(NamedTuple):
    """A file, whether Assay accepts it as :data:`NAR`, and the generations that install it."""

    name: str
    method: Compression
    file: bytes
    installed_by: tuple[str, ...] = ()
    accepted: bool = False
    hangs: bool = False
    """Whether some generation never ends on it."""

    def __str__(self) -> str:
        """A test's name."""
        return f"{self.method}: {self.name}"


ZSTD, XZ, BZIP2, GZIP, BR = Compression.ZSTD, Compression.XZ, Compression.BZIP2, Compression.GZIP, Compression.BR


def _accepted(method: Compression, files: dict[str, bytes]) -> list[CompressionCase]:
    return [CompressionCase(name, method, file, ALL, accepted=True) for name, file in files.items()]


def _refused(method: Compression, files: dict[str, bytes], *installed_by: str) -> list[CompressionCase]:
    return [CompressionCase(name, method, file, installed_by) for name, file in files.items()]


def _hangs(method: Compression, files: dict[str, bytes], *installed_by: str) -> list[CompressionCase]:
    return [CompressionCase(name, method, file, installed_by, hangs=True) for name, file in files.items()]


FRAME = compressed(ZSTD, NAR)
EMPTY_FRAME = compressed(ZSTD, b"")
FRAMES = compressed(ZSTD, HALVES[0]), compressed(ZSTD, HALVES[1])
WINDOW = bytes([10 << 3])  # 2 ** 20 bytes

ZSTD_CASES = [
    *_accepted(
        ZSTD,
        {
            "one frame": FRAME,
            "no checksum": without_checksum(NAR),
            "two frames": b"".join(FRAMES),
            "empty frame first": EMPTY_FRAME + FRAME,
            "empty frame last": FRAME + EMPTY_FRAME,
            "skippable frame first": SKIPPABLE_FRAME + FRAME,
            "1000 empty skippable frames first": skippable_frame(b"") * 1000 + FRAME,
            "32 kB skippable first": skippable_frame(bytes(32_000)) + FRAME,
            "skippable frame between": SKIPPABLE_FRAME.join(FRAMES),
            "1 MB skippable between": skippable_frame(bytes(1_000_000)).join(FRAMES),
            "1 MB skippable behind an empty frame": EMPTY_FRAME + skippable_frame(bytes(1_000_000)) + FRAME,
            "skippable frame last": FRAME + SKIPPABLE_FRAME,
            "last of the skippable magic numbers": FRAME + struct.pack("<II", 0x184D2A5F, 0),
            "1000 empty frames": FRAME + EMPTY_FRAME * 1000,
            "window of 128 MiB": zstd_window(27, NAR),
            "content size, and no window": zstd_frame(0x60, struct.pack("<H", len(NAR) - 256), block=NAR),
            "unused header bit": zstd_frame(0x10, WINDOW, block=NAR),
            "dictionary 0": zstd_frame(0x01, WINDOW, b"\0", block=NAR),
        },
    ),
    *_refused(
        ZSTD,
        {
            "window of 144 MiB": zstd_frame(0, bytes([17 << 3 | 1]), block=NAR),
            "window of 256 MiB": zstd_window(28, NAR),
            "window of 2 GiB": zstd_window(31, NAR),
            "empty compressed block": FRAME + bytes.fromhex("28b52ffd2000050000"),
            "content size that an empty block belies": FRAME + bytes.fromhex("28b52ffd2028010000"),
            "empty compressed block first": bytes.fromhex("28b52ffd2000050000") + FRAME,
            "content size of 1 TiB, and no window": zstd_frame(0xE0, struct.pack("<Q", 1 << 40), block=NAR),
            "content size too large": zstd_frame(0x60, struct.pack("<H", len(NAR) - 255), block=NAR),
            "content size too small": zstd_frame(0x60, struct.pack("<H", len(NAR) - 257), block=NAR),
            "reserved header bit": zstd_frame(0x08, WINDOW, block=NAR),
            "reserved block type": zstd_frame(0, WINDOW, block=NAR, kind=3),
            "dictionary": zstd_frame(0x01, WINDOW, b"\5", block=NAR),
            "a byte behind": FRAME + b"x",
            "a zero behind": FRAME + b"\0",
            "zeros behind": FRAME + bytes(512),
            "magic number behind": FRAME + FRAME[:4],
            "half a magic number behind": FRAME + FRAME[:2],
            "header behind": FRAME + FRAME[:6],
            "last byte missing": FRAME[:-1],
            "checksum missing": FRAME[:-4],
            "last bytes missing": FRAME[:-10],
            "wrong checksum": flipped(FRAME, -1),
            "last byte of a skippable frame missing": FRAME + SKIPPABLE_FRAME[:-1],
            "4 GiB skippable, of which 2 bytes are there": FRAME + struct.pack("<II", 0x184D2A50, 2**32 - 1) + b"xx",
            "frame of zstd 0.7 first": zstd_version_0_7(NAR[:200]) + compressed(ZSTD, NAR[200:]),
            "only skippable frames": SKIPPABLE_FRAME * 2,
            "no compression": NAR,
            "empty": b"",
        },
    ),
    *_refused(
        ZSTD,
        {
            "64 KiB skippable first": skippable_frame(bytes(65_536)) + FRAME,
            "10,000 empty skippable frames first": skippable_frame(b"") * 10_000 + FRAME,
        },
        *OLDER,
    ),
    *_refused(
        ZSTD,
        {
            "40 kB skippable first": skippable_frame(bytes(40_000)) + FRAME,
            # Seen whole, it is read whatever window it asks for; a larger one like it comes in pieces, and is refused.
            "window of 2 GiB in a small frame": zstd_frame(
                0x40, bytes([21 << 3]), struct.pack("<H", len(NAR) - 256), block=NAR
            ),
            "frame of zstd 0.7 second": compressed(ZSTD, NAR[:-200]) + zstd_version_0_7(NAR[-200:]),
            "twice": compressed(ZSTD, FRAME),
        },
        *ALL,
    ),
    *_refused(ZSTD, {"xz": compressed(XZ, NAR)}, *OLDEST),
]

STREAM = compressed(XZ, NAR)
EMPTY_STREAM = compressed(XZ, b"")
STREAMS = compressed(XZ, HALVES[0]), compressed(XZ, HALVES[1])
LZMA2 = {"id": lzma.FILTER_LZMA2}

XZ_CASES = [
    *_accepted(
        XZ,
        {
            "one stream": STREAM,
            "no check": lzma.compress(NAR, check=lzma.CHECK_NONE),
            "CRC32": lzma.compress(NAR, check=lzma.CHECK_CRC32),
            "SHA-256": lzma.compress(NAR, check=lzma.CHECK_SHA256),
            "a check of the future, of 4 bytes": xz_stream(NAR, check=2, check_value=b"abcd"),
            "a check of the future, of 64 bytes": xz_stream(NAR, check=15, check_value=bytes(64)),
            "preset 9e": lzma.compress(NAR, preset=9 | lzma.PRESET_EXTREME),
            "two streams": b"".join(STREAMS),
            "padding between": bytes(4).join(STREAMS),
            "padding": STREAM + bytes(4),
            "4 kB of padding": STREAM + bytes(4096),
            "empty stream first": EMPTY_STREAM + STREAM,
            "empty stream last": STREAM + EMPTY_STREAM,
            "stream without a block last": STREAM + xz_stream(),
            "two blocks": xz_stream(*HALVES),
            "empty block": xz_stream(HALVES[0], b"", HALVES[1]),
            "no check, two blocks": xz_stream(*HALVES, check=XZ_NO_CHECK),
            "dictionary of 64 MiB": xz_dictionary(28, NAR),
            "dictionary of 96 MiB": xz_dictionary(29, NAR),
            "filter for x86": lzma.compress(NAR, filters=[{"id": lzma.FILTER_X86}, LZMA2]),
            "delta filter": lzma.compress(NAR, filters=[{"id": lzma.FILTER_DELTA, "dist": 4}, LZMA2]),
        },
    ),
    *_refused(
        XZ,
        {
            "a zero behind": STREAM + b"\0",
            "3 zeros behind": STREAM + bytes(3),
            "6 zeros behind": STREAM + bytes(6),
            "2 zeros between": bytes(2).join(STREAMS),
            "padding before": bytes(4) + STREAM,
            "dictionary size beyond the format": xz_dictionary(41, NAR),
            "unknown filter": xz_stream(NAR, filters=[(0x3F, b"")]),
            "reserved bit beside the check": xz_stream(NAR, check=0x10, check_value=b""),
            "wrong check": xz_stream(NAR, check_value=b"abcd"),
            "a byte behind": STREAM + b"x",
            "4 bytes behind": STREAM + b"xxxx",
            "padding and a byte behind": STREAM + bytes(4) + b"x",
            "many bytes behind": STREAM + b"x" * 600,
            "magic number behind": STREAM + STREAM[:6],
            "header behind": STREAM + STREAM[:12],
            "last byte missing": STREAM[:-1],
            "footer missing": STREAM[:-12],
            "index damaged and footer missing": STREAM[:-20],
            "wrong footer": flipped(STREAM, -1),
            "wrong header": flipped(STREAM, 7),
            "empty": b"",
        },
    ),
    *_refused(
        XZ,
        {
            "dictionary of 128 MiB": xz_dictionary(30, NAR),
            "dictionary of 1.5 GiB": xz_dictionary(37, NAR),
            "dictionary of 4 GiB": xz_dictionary(40, NAR),
            "twice": compressed(XZ, STREAM),
        },
        *ALL,
    ),
    *_refused(XZ, {"lzma's own container": lzma.compress(NAR, format=lzma.FORMAT_ALONE), "zstd": FRAME}, *OLDEST),
]

BZIP2_STREAM = compressed(BZIP2, NAR)
EMPTY_BZIP2_STREAM = compressed(BZIP2, b"")
BZIP2_STREAMS = compressed(BZIP2, HALVES[0]), compressed(BZIP2, HALVES[1])

BZIP2_CASES = [
    *_accepted(
        BZIP2,
        {
            "one stream": BZIP2_STREAM,
            "small blocks": bz2.compress(NAR, 1),
            "two streams": b"".join(BZIP2_STREAMS),
            "two streams of two block sizes": bz2.compress(HALVES[0], 1) + bz2.compress(HALVES[1], 9),
            "empty stream first": EMPTY_BZIP2_STREAM + BZIP2_STREAM,
            "empty stream last": BZIP2_STREAM + EMPTY_BZIP2_STREAM,
            "empty streams between": (EMPTY_BZIP2_STREAM * 3).join(BZIP2_STREAMS),
            "1000 empty streams": BZIP2_STREAM + EMPTY_BZIP2_STREAM * 1000,
        },
    ),
    *_refused(
        BZIP2,
        {
            "half a stream behind": BZIP2_STREAM + BZIP2_STREAM[:20],
            "last byte missing": BZIP2_STREAM[:-1],
            "last bytes missing": BZIP2_STREAM[:-40],
            "last byte of the second stream missing": b"".join(BZIP2_STREAMS)[:-1],
            "wrong CRC of a block": flipped(BZIP2_STREAM, 10),
            "wrong CRC of a stream": flipped(BZIP2_STREAM, -2),
            "wrong CRC of an empty stream": BZIP2_STREAM + flipped(EMPTY_BZIP2_STREAM, -1),
            "empty": b"",
        },
    ),
    *_refused(
        BZIP2,
        {
            "a byte behind": BZIP2_STREAM + b"x",
            "a zero behind": BZIP2_STREAM + b"\0",
            "zeros behind": BZIP2_STREAM + bytes(512),
            "magic number behind": BZIP2_STREAM + b"BZh9",
            "header behind": BZIP2_STREAM + BZIP2_STREAM[:12],
            "stream of an unknown block size behind": BZIP2_STREAM + b"BZh0" + BZIP2_STREAM[4:],
            "garbage with a magic number behind": BZIP2_STREAM + b"BZh9" + b"garbage" * 10,
            "twice": compressed(BZIP2, BZIP2_STREAM),
        },
        *ALL,
    ),
    *_refused(BZIP2, {"gzip": compressed(GZIP, NAR)}, *OLDEST),
]

MEMBER = compressed(GZIP, NAR)
EMPTY_MEMBER = compressed(GZIP, b"")
MEMBERS = compressed(GZIP, HALVES[0]), compressed(GZIP, HALVES[1])
EMPTY_DEFLATE_BLOCK = b"\0\0\0\xff\xff"


def _named(length: int, *, flags: int = GZIP_NAME, data: bytes = NAR) -> bytes:
    return gzip_member(data, flags=flags, fields=b"n" * length + b"\0")


GZIP_CASES = [
    *_accepted(
        GZIP,
        {
            "one member": MEMBER,
            "stored": gzip_member(b"")[:10] + zlib.compress(NAR, 0)[2:-4] + gzip_trailer(NAR),
            "text": gzip_member(NAR, flags=GZIP_TEXT),
            "extra field": gzip_member(NAR, flags=GZIP_EXTRA, fields=b"\3\0abc"),
            "longest extra field": gzip_member(NAR, flags=GZIP_EXTRA, fields=b"\xff\xff" + bytes(65535)),
            "name": _named(4),
            "empty name": _named(0),
            "a path for a name": gzip_member(NAR, flags=GZIP_NAME, fields=b"/../\xff\0"),
            "name of 100 kB": _named(100_000),
            "comment of 100 kB": _named(100_000, flags=GZIP_COMMENT),
            "CRC of the header": gzip_member(NAR, flags=GZIP_HEADER_CRC),
            "everything in the header": gzip_member(NAR, flags=0x1F, fields=b"\3\0abcname\0comment\0"),
            "time, extra flags and system": MEMBER[:4] + b"\x01\x02\x03\xff\x02\x07" + MEMBER[10:],
            "two members": b"".join(MEMBERS),
            "empty member first": EMPTY_MEMBER + MEMBER,
            "empty member last": MEMBER + EMPTY_MEMBER,
            "empty members between": (EMPTY_MEMBER * 3).join(MEMBERS),
            "1000 empty members": MEMBER + EMPTY_MEMBER * 1000,
            "1000 empty blocks": MEMBER[:10] + EMPTY_DEFLATE_BLOCK * 1000 + MEMBER[10:],
        },
    ),
    *_refused(
        GZIP,
        {
            "reserved header bit": gzip_member(NAR, flags=GZIP_RESERVED),
            "last reserved header bit": gzip_member(NAR, flags=0x80),
            "unknown method": flipped(MEMBER, 2),
            "reserved block type": MEMBER[:10] + b"\x07" + MEMBER[10:],
            "last byte missing": MEMBER[:-1],
            "size missing": MEMBER[:-4],
            "CRC missing": MEMBER[:-8],
            "last bytes missing": MEMBER[:-12],
            "header behind": MEMBER + MEMBER[:10],
            "zlib's container": zlib.compress(NAR),
            "no container": deflated(NAR),
            "no compression": NAR,
            "empty": b"",
        },
    ),
    *_refused(
        GZIP,
        {
            "name of 2 MB": _named(2_000_000),
            "comment of 2 MB": _named(2_000_000, flags=GZIP_COMMENT),
            "name of 2 MB in the second member": MEMBERS[0] + _named(2_000_000, data=HALVES[1]),
        },
        *OLDER,
    ),
    *_refused(
        GZIP,
        {
            "name of 200 kB": _named(200_000),
            "wrong CRC of the header": flipped(gzip_member(NAR, flags=GZIP_HEADER_CRC), 10),
            "wrong CRC": gzip_member(NAR, crc=1),
            "wrong size": gzip_member(NAR, size=1),
            "wrong CRC of the second member": MEMBERS[0] + gzip_member(HALVES[1], crc=1),
            "wrong CRC of an empty member": MEMBER + gzip_member(b"", crc=1),
            "a byte behind": MEMBER + b"x",
            "a zero behind": MEMBER + b"\0",
            "zeros behind": MEMBER + bytes(512),
            "many bytes behind": MEMBER + b"x" * 600,
            "magic number behind": MEMBER + b"\x1f\x8b",
            "member with a reserved header bit behind": MEMBER + gzip_member(b"x", flags=GZIP_RESERVED),
            "twice": compressed(GZIP, MEMBER),
        },
        *ALL,
    ),
    *_refused(GZIP, {"bzip2": BZIP2_STREAM}, *OLDEST),
]

BR_STREAM = compressed(BR, NAR)
BR_STREAMS = compressed(BR, HALVES[0]), compressed(BR, HALVES[1])

BR_CASES = [
    *_accepted(
        BR,
        {
            "one stream": BR_STREAM,
            "smallest window": brotli.compress(NAR, lgwin=10),
            "window of 64 KiB": brotli.compress(NAR, lgwin=16),
            "largest window": brotli.compress(NAR, lgwin=24),
            "uncompressed": br_stream(NAR),
            "metadata": br_stream(NAR, between=br_metadata(b"x" * 256) + BR_EMPTY_BLOCK),
            "1000 empty blocks": br_stream(NAR, between=BR_EMPTY_BLOCK * 1000),
        },
    ),
    *_refused(
        BR,
        {
            "window of 1 GiB": br_stream(NAR, window=BR_LARGE_WINDOW),
            "reserved window": br_stream(NAR, window="1000100"),
            "set padding bit": br_stream(NAR, padding=1),
            "two streams": b"".join(BR_STREAMS),
            "no compression": NAR,
            "gzip": MEMBER,
        },
    ),
    *_refused(
        BR,
        {
            "a byte behind": BR_STREAM + b"x",
            "a zero behind": BR_STREAM + b"\0",
            "200 kB behind": BR_STREAM + b"x" * 200_000,
            "itself behind": BR_STREAM * 2,
            "empty stream behind": BR_STREAM + BR_EMPTY_BLOCK,
        },
        *ALL,
    ),
    *_hangs(BR, {"last byte missing": BR_STREAM[:-1], "last bytes missing": BR_STREAM[:-10], "empty": b""}),
    *_hangs(BR, {"last block missing": br_stream(NAR)[:-1]}, *OLDER),
]

OTHER_CASES = [
    *_accepted(Compression.NONE, {"no compression": NAR}),
    *_refused(Compression.NONE, {"xz": STREAM, "gzip": MEMBER}),
]

CASES = [*ZSTD_CASES, *XZ_CASES, *BZIP2_CASES, *GZIP_CASES, *BR_CASES, *OTHER_CASES]
