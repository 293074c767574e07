"""The walk over a zstd frame's blocks: it finds the one block that the codec lets pass, and nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.compression import Compression
from nixcache.compression.zstd_blocks import BlockWalker
from tests.nixcache.compressed import compressed, without_checksum, zstd_frame
from tests.nixcache.strategies import cut, piece_sizes

BLOCK = (1 | 2 << 1).to_bytes(3, "little")  # the last, compressed, of no bytes
INCOMPRESSIBLE = random.Random(0).randbytes(300_000)


def walk(pieces: list[bytes]) -> bool:
    walker = BlockWalker()
    return all(walker.feed(piece) for piece in pieces)


@given(st.sampled_from([b"", b"x", b"text " * 100_000, INCOMPRESSIBLE, bytes(10**6)]), st.booleans(), piece_sizes())
def test_what_zstd_writes_is_walked_to_its_end(data: bytes, checksum: bool, sizes: list[int]) -> None:  # noqa: FBT001
    """What follows the last block is not its affair: an empty compressed block behind the frame is not seen."""
    frame = compressed(Compression.ZSTD, data) if checksum else without_checksum(data)
    assert walk([frame + BLOCK])
    assert walk(cut(frame + BLOCK, [size * 97 for size in sizes]))


HEADERS = [
    (0x00, b"\x50"),
    (0x20, b"\x00"),
    (0x40, b"\x50\0\0"),
    (0x60, b"\0\0"),
    (0xA0, bytes(4)),
    (0xC0, b"\x50" + bytes(8)),
    (0x03, b"\x50" + bytes(4)),
    (0x02, b"\x50" + bytes(2)),
    (0x21, b"\0\0"),
]


@pytest.mark.parametrize(("descriptor", "fields"), HEADERS)
@pytest.mark.parametrize("before", [b"", (0 << 1 | 2 << 3).to_bytes(3, "little") + b"ab", b"\x0a\x01\x00R"])
def test_an_empty_compressed_block_is_found_behind_any_header_and_block(
    descriptor: int, fields: bytes, before: bytes
) -> None:
    header = zstd_frame(descriptor, fields, block=b"", kind=2)[:-3]
    frame = header + before + BLOCK
    assert not walk([frame])
    assert not walk(cut(frame, [1]))
    assert walk([frame[:-1]])


@pytest.mark.parametrize(
    ("descriptor", "fields", "size"),
    [
        (0x00, b"\x50", None),
        (0x20, b"\x07", 7),
        (0x40, b"\x50\x01\x02", 0x201 + 256),
        (0x60, b"\0\0", 256),
        (0xA0, b"\1\2\0\0", 0x201),
        (0xC0, b"\x50" + b"\1" + bytes(6) + b"\2", 1 + (2 << 56)),
        (0x23, b"abcd\x07", 7),
    ],
)
def test_the_content_size_is_read_from_any_header(descriptor: int, fields: bytes, size: int | None) -> None:
    """RFC 8878, section 3.1.1.1.4."""
    frame = zstd_frame(descriptor, fields, block=b"x")
    for pieces in ([frame], cut(frame, [1])):
        walker = BlockWalker()
        for piece in pieces:
            walker.feed(piece)
        assert walker.content_size == size
