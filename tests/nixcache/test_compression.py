"""Compression: what goes in comes out, however it is cut, and pieces are never larger than they may be."""

from __future__ import annotations

import lzma
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.compression import MAX_PIECE_SIZE, Compression, compress, decompressor
from nixcache.errors import Code, PermanentError
from tests.nixcache.compressed import (
    SKIPPABLE_FRAME,
    compressed,
    decompressed,
    without_checksum,
    xz_dictionary,
    zstd_window,
)
from tests.nixcache.strategies import cut, piece_sizes

SUPPORTED = [Compression.NONE, Compression.ZSTD, Compression.XZ]
FRAMED = [Compression.ZSTD, Compression.XZ]
UNSUPPORTED = [method for method in Compression if method not in SUPPORTED]


@given(
    st.sampled_from(SUPPORTED), st.lists(st.binary(max_size=300), min_size=1, max_size=4), piece_sizes(), piece_sizes()
)
def test_what_goes_in_comes_out(method: Compression, frames: list[bytes], into: list[int], out: list[int]) -> None:
    """Frames after one another are as good as one."""
    data = b"".join(b"".join(compress(method, cut(frame, into))) for frame in frames)
    assert decompressed(method, cut(data, out)) == b"".join(frames)


@pytest.mark.parametrize("method", SUPPORTED)
def test_large_data_comes_in_bounded_pieces(method: Compression) -> None:
    """I7: `decompressed` looks at the size of each."""
    data = bytes(3 * MAX_PIECE_SIZE + 1) + random.Random(1).randbytes(2 * MAX_PIECE_SIZE + 1)
    assert decompressed(method, [compressed(method, data)]) == data


@pytest.mark.parametrize("method", FRAMED)
def test_a_bomb_yields_one_small_piece_at_a_time(method: Compression) -> None:
    """I7: nothing is expanded before it is asked for."""
    bomb = compressed(method, bytes(16 * 1024 * 1024))
    assert len(bomb) < 20_000
    pieces = decompressor(method).feed(bomb)
    assert next(pieces) == bytes(MAX_PIECE_SIZE)


@pytest.mark.parametrize(
    ("method", "extension"),
    [
        ("none", ""),
        ("zstd", ".zst"),
        ("xz", ".xz"),
        ("bzip2", ".bz2"),
        ("br", ".br"),
        ("lz4", ".lz4"),
        ("lzip", ".lzip"),
    ],
)
def test_extensions_are_nixs(method: str, extension: str) -> None:
    assert Compression(method).extension == extension


def test_the_other_methods_have_no_extension() -> None:
    named = {"zstd", "xz", "bzip2", "br", "lz4", "lzip"}
    assert {method.extension for method in Compression if method not in named} == {""}


@pytest.mark.parametrize("method", UNSUPPORTED)
def test_what_cannot_be_read_is_named(method: Compression) -> None:
    with pytest.raises(PermanentError, match=f"^compression-unsupported .*{method.value}") as caught:
        decompressor(method)
    assert (caught.value.code, caught.value.field) == (Code.COMPRESSION_UNSUPPORTED, "Compression")
    with pytest.raises(PermanentError, match=method.value) as caught:
        list(compress(method, [b"x"]))
    assert caught.value.code is Code.COMPRESSION_UNSUPPORTED


@pytest.mark.parametrize("method", FRAMED)
def test_a_level_is_the_codecs_own(method: Compression) -> None:
    data = bytes(random.Random(1).choices(b"aaaabbcd", k=100_000))
    sizes = [len(b"".join(compress(method, [data], level=level))) for level in (1, 9)]
    assert sizes[0] > sizes[1]
    assert decompressed(method, compress(method, [data], level=9)) == data


def test_zstd_frames_carry_a_checksum() -> None:
    """A client can then tell a damaged download before it has unpacked it."""
    frame = bytearray(compressed(Compression.ZSTD, b"hello"))
    frame[-1] ^= 1
    with pytest.raises(PermanentError, match="checksum"):
        decompressed(Compression.ZSTD, [bytes(frame)])


@pytest.mark.parametrize(
    "data",
    [
        SKIPPABLE_FRAME,
        compressed(Compression.ZSTD, b""),
        SKIPPABLE_FRAME + compressed(Compression.ZSTD, b"") + SKIPPABLE_FRAME,
    ],
    ids=["skippable", "empty", "three"],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_zstd_frames_that_stand_for_nothing(data: bytes, size: int) -> None:
    assert decompressed(Compression.ZSTD, cut(data, [size])) == b""
    frame = compressed(Compression.ZSTD, b"abc")
    assert decompressed(Compression.ZSTD, cut(data + frame + data + frame + data, [size])) == b"abcabc"


def test_zstd_without_a_checksum_is_accepted() -> None:
    assert decompressed(Compression.ZSTD, [without_checksum(b"abc")]) == b"abc"


@pytest.mark.parametrize("log", [10, 20, 26, 27])
def test_zstd_windows_that_clients_take(log: int) -> None:
    assert decompressed(Compression.ZSTD, [zstd_window(log)]) == b"abc"


@pytest.mark.parametrize("log", [28, 31, 40])
def test_zstd_windows_that_clients_refuse(log: int) -> None:
    """I7: a window is memory."""
    with pytest.raises(PermanentError) as caught:
        decompressed(Compression.ZSTD, [zstd_window(log)])
    assert caught.value.code is Code.COMPRESSED_DATA_MALFORMED


@pytest.mark.parametrize("padding", [4, 8, 4096])
@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_xz_stream_padding(padding: int, size: int) -> None:
    stream = compressed(Compression.XZ, b"abc")
    data = stream + bytes(padding) + stream + stream + bytes(padding)
    assert decompressed(Compression.XZ, cut(data, [size])) == b"abc" * 3


@pytest.mark.parametrize("padding", [1, 2, 3, 5, 4095])
@pytest.mark.parametrize("following", [b"", compressed(Compression.XZ, b"abc")], ids=["at the end", "between"])
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_xz_stream_padding_is_a_multiple_of_four(padding: int, following: bytes, size: int) -> None:
    data = compressed(Compression.XZ, b"abc") + bytes(padding) + following
    with pytest.raises(PermanentError, match="multiples of 4 bytes") as caught:
        decompressed(Compression.XZ, cut(data, [size]))
    assert caught.value.code is Code.COMPRESSED_DATA_MALFORMED


def test_padding_of_two_streams_is_not_added_up() -> None:
    stream = compressed(Compression.XZ, b"abc")
    with pytest.raises(PermanentError, match="multiples of 4 bytes"):
        decompressed(Compression.XZ, [stream + bytes(2) + stream + bytes(2)])


def test_xz_dictionaries_are_limited() -> None:
    """I7: 2 ** 26 (preset 9) is the largest that is needed; 4 GiB would be allocated by the first byte."""
    assert decompressed(Compression.XZ, [xz_dictionary(28)]) == b"abc"
    for code in (32, 40):
        with pytest.raises(PermanentError, match="Memory usage limit exceeded") as caught:
            decompressed(Compression.XZ, [xz_dictionary(code)])
        assert caught.value.code is Code.COMPRESSED_DATA_MALFORMED


@pytest.mark.parametrize("check", [lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256])
def test_every_xz_check(check: int) -> None:
    assert decompressed(Compression.XZ, [lzma.compress(b"abc", check=check)]) == b"abc"


def test_what_is_not_xz_although_lzma_reads_it() -> None:
    """Nix's clients take the old .lzma container under its own name only."""
    with pytest.raises(PermanentError):
        decompressed(Compression.XZ, [lzma.compress(b"abc", format=lzma.FORMAT_ALONE)])


@pytest.mark.parametrize("method", FRAMED)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_every_truncation_is_refused(method: Compression, size: int) -> None:
    """Some zstd readers take a truncated stream for an empty one."""
    data = compressed(method, b"hello world" * 10)
    for length in range(len(data)):
        with pytest.raises(PermanentError) as caught:
            decompressed(method, cut(data[:length], [size]))
        assert caught.value.code is Code.COMPRESSED_DATA_MALFORMED


@pytest.mark.parametrize("method", FRAMED)
@pytest.mark.parametrize("garbage", [b"x", b"\1\0\0\0", b"garbage" * 10, b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0"], ids=repr)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_garbage_after_the_last_frame_is_refused(method: Compression, garbage: bytes, size: int) -> None:
    data = compressed(method, b"abc")
    with pytest.raises(PermanentError) as caught:
        decompressed(method, cut(data + garbage, [size]))
    assert caught.value.code is Code.COMPRESSED_DATA_MALFORMED


@pytest.mark.parametrize("padding", [1, 4, 8, 4096])
def test_zeros_after_a_zstd_frame_are_refused(padding: int) -> None:
    with pytest.raises(PermanentError):
        decompressed(Compression.ZSTD, [compressed(Compression.ZSTD, b"abc") + bytes(padding)])


def test_zeros_before_an_xz_stream_are_refused() -> None:
    with pytest.raises(PermanentError):
        decompressed(Compression.XZ, [bytes(4) + compressed(Compression.XZ, b"abc")])


@pytest.mark.parametrize("method", FRAMED)
def test_nothing_is_no_frame(method: Compression) -> None:
    with pytest.raises(PermanentError, match="There is no data") as caught:
        decompressed(method, [])
    assert (caught.value.field, caught.value.offset) == ("URL", 0)


@pytest.mark.parametrize("method", FRAMED)
def test_damage_is_reported_near_where_it_is(method: Compression) -> None:
    good = compressed(method, random.Random(1).randbytes(300_000))
    with pytest.raises(PermanentError) as caught:
        decompressed(method, [good + b"damage!!" * 10])
    assert caught.value.field == "URL"
    assert caught.value.offset is not None
    assert 0 <= len(good) - caught.value.offset < 64 * 1024


@pytest.mark.parametrize("method", FRAMED)
def test_the_number_of_frames_is_bounded(method: Compression, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of empty frames would buy hours of CPU for megabytes."""
    monkeypatch.setattr("nixcache.compression.MAX_FRAMES", 50)
    frame = compressed(method, b"a")
    assert decompressed(method, [frame * 50]) == b"a" * 50
    with pytest.raises(PermanentError) as caught:
        decompressed(method, [frame * 51])
    assert caught.value.code is Code.TOO_LARGE
