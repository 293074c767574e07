"""Frames: cut at the same bytes however the NAR arrives, and read by our own ingest as one file."""

from __future__ import annotations

import hashlib
from collections import deque

import pytest

from hook.transfer.frames import CHUNK_SIZE, bound, compress, cut
from hook.transfer.packing import DEFAULT_LEVELS, LEVELS, Packing
from nixcache.compression import Compression, decompressor

SIZE = 100_000


def _noise(size: int) -> bytes:
    return b"".join(hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(size // 32 + 1))[:size]


def _frames(data: bytes, pieces: int, size: int = SIZE) -> list[bytes]:
    return [b"".join(frame) for frame in cut((data[i : i + pieces] for i in range(0, len(data), pieces)), size)]


@pytest.mark.parametrize("size", [1, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE, 3 * SIZE + 7])
@pytest.mark.parametrize("pieces", [1_000, 77_777, SIZE, 250_001])
def test_a_frame_holds_the_same_bytes_however_they_arrive(size: int, pieces: int) -> None:
    """Parts are recognised after a restart only if every frame is the same."""
    data = _noise(size)
    assert _frames(data, pieces) == [data[start : start + SIZE] for start in range(0, size, SIZE)]


def test_nothing_makes_no_frame() -> None:
    assert list(cut([])) == []


def test_a_frame_comes_in_few_chunks() -> None:
    (frame,) = cut([b"x"] * (3 * CHUNK_SIZE // 2))
    assert len(frame) == 2


@pytest.mark.parametrize(
    "packing",
    [
        Packing(Compression.ZSTD, 1),
        Packing(Compression.ZSTD, 3),
        Packing(Compression.ZSTD, 17),
        Packing(Compression.XZ, 0),
        Packing(Compression.XZ, 9),
        Packing(Compression.NONE, 0),
    ],
)
@pytest.mark.parametrize("size", [1, 120, SIZE, 2 * SIZE + 5])
def test_frames_after_one_another_are_one_file(packing: Packing, size: int) -> None:
    data = _noise(size // 2) + b"again and again " * (size // 32 + 1)
    compressed = b"".join(piece for frame in cut([data], SIZE) for piece in compress(frame, packing))
    reader = decompressor(packing.compression)
    assert b"".join(reader.feed(compressed)) == data
    reader.close()


@pytest.mark.parametrize("compression", list(DEFAULT_LEVELS))
@pytest.mark.parametrize("size", [1, 1000, 3_000_000])
def test_what_does_not_compress_stays_within_the_bound(compression: Compression, size: int) -> None:
    pieces = compress(deque([_noise(size)]), Packing(compression, DEFAULT_LEVELS[compression]))
    assert sum(map(len, pieces)) <= bound(size)


def test_compressing_lets_go_of_what_it_has_read() -> None:
    """I7, the builder's side of it: a frame is in memory once, raw or compressed."""
    frame = deque([b"x" * 1000, b"y" * 1000])
    compress(frame, Packing(Compression.ZSTD, 3))
    assert not frame


@pytest.mark.parametrize(("compression", "level"), [("zstd", 0), ("zstd", 20), ("xz", 10), ("none", 1), ("bzip2", 1)])
def test_a_packing_that_nobody_can_make_is_none(compression: str, level: int) -> None:
    with pytest.raises(ValueError, match=compression):
        Packing(Compression(compression), level)


def test_every_method_has_a_level_to_begin_with() -> None:
    assert {compression: level in LEVELS[compression] for compression, level in DEFAULT_LEVELS.items()} == {
        Compression.ZSTD: True,
        Compression.XZ: True,
        Compression.NONE: True,
    }
