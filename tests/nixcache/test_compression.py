"""Compression: what goes in comes out, however it is cut, and pieces are never larger than they may be."""

from __future__ import annotations

import functools
import itertools
import lzma
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.compression import MAX_PIECE_SIZE, READABLE, Compression, compress, decompressor
from nixcache.compression.codec import FrameFormat
from nixcache.compression.frames import Frames
from nixcache.compression.gzip import MAX_GZIP_HEADER_SIZE
from nixcache.compression.zstd import MAX_LEADING_SKIPPABLE_SIZE
from nixcache.errors import Code, PermanentError
from tests.nixcache.compressed import (
    GZIP_COMMENT,
    GZIP_EXTRA,
    GZIP_NAME,
    SKIPPABLE_FRAME,
    compressed,
    decompressed,
    flipped,
    gzip_member,
    skippable_frame,
    xz_dictionary,
    zstd_window,
)
from tests.nixcache.compression_cases import ALL, CASES, NAR, CompressionCase
from tests.nixcache.golden import HELLO_NAR
from tests.nixcache.golden_compressed import COMPRESSED
from tests.nixcache.outcomes import Failure, outcome
from tests.nixcache.strategies import cut, piece_sizes

FRAMED = [method for method in READABLE if method is not Compression.NONE]
SEVERAL = [method for method in READABLE if method is not Compression.BR]
CHECKED = [Compression.ZSTD, Compression.XZ, Compression.BZIP2, Compression.GZIP]
ENCODED = [Compression.NONE, Compression.ZSTD, Compression.XZ]
UNREADABLE = sorted(set(Compression) - set(READABLE))


def refused(method: Compression, data: bytes, *, size: int = 1 << 30) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        decompressed(method, cut(data, [size]))
    return caught.value


def accepts(case: CompressionCase, sizes: list[int]) -> bool:
    result = outcome(lambda: decompressed(case.method, cut(case.file, sizes)))
    assert not isinstance(result, Failure) or result.code == Code.COMPRESSED_DATA_MALFORMED
    return result == NAR


def test_the_methods_that_are_read() -> None:
    assert sorted(READABLE) == ["br", "bzip2", "gzip", "none", "xz", "zstd"]


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_the_formats_own_tools_write(name: str, size: int) -> None:
    method, file = COMPRESSED[name]
    assert decompressed(method, cut(file, [size])) == HELLO_NAR


@pytest.mark.parametrize("method", SEVERAL)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), piece_sizes())
def test_what_goes_in_comes_out(method: Compression, frames: list[bytes], sizes: list[int]) -> None:
    """Frames after one another are as good as one."""
    data = b"".join(compressed(method, frame) for frame in frames)
    assert decompressed(method, cut(data, sizes)) == b"".join(frames)


@given(st.binary(max_size=1000), piece_sizes())
def test_what_goes_in_comes_out_of_brotli(data: bytes, sizes: list[int]) -> None:
    """It has one stream in a file."""
    assert decompressed(Compression.BR, cut(compressed(Compression.BR, data), sizes)) == data


@pytest.mark.parametrize("method", ENCODED)
@given(st.binary(max_size=1000), piece_sizes())
def test_what_our_encoder_is_fed_comes_out(method: Compression, data: bytes, sizes: list[int]) -> None:
    assert decompressed(method, compress(method, cut(data, sizes))) == data


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_case_has_its_verdict(case: CompressionCase) -> None:
    assert accepts(case, [len(case.file) or 1]) == case.accepted


@pytest.mark.parametrize("case", CASES, ids=str)
def test_how_a_file_is_cut_changes_no_verdict(case: CompressionCase) -> None:
    small = len(case.file) < 10_000
    for sizes in ([1] if small else [4001], [7, 1, 64] if small else [70_000, 1]):
        assert accepts(case, sizes) == case.accepted


def test_nothing_is_accepted_that_a_client_refuses() -> None:
    """Else a signed path would install for some readers only."""
    assert [str(case) for case in CASES if case.accepted and case.installed_by != ALL] == []


@pytest.mark.parametrize("method", READABLE)
@pytest.mark.parametrize("size", [MAX_PIECE_SIZE - 1, MAX_PIECE_SIZE, MAX_PIECE_SIZE + 1, 5 * MAX_PIECE_SIZE])
@pytest.mark.parametrize("pieces", [1 << 30, 100])
def test_large_data_comes_in_bounded_pieces(method: Compression, size: int, pieces: int) -> None:
    """I7: `decompressed` looks at the size of each. Full pieces are where a codec holds something back."""
    data = bytes(size)
    assert decompressed(method, cut(compressed(method, data), [pieces])) == data


@pytest.mark.parametrize("method", READABLE)
def test_incompressible_data_comes_in_bounded_pieces(method: Compression) -> None:
    data = random.Random(1).randbytes(MAX_PIECE_SIZE + 1)
    assert decompressed(method, [compressed(method, data)]) == data


@pytest.mark.parametrize("method", FRAMED)
def test_a_bomb_yields_one_small_piece_at_a_time(method: Compression) -> None:
    """I7: nothing is expanded before it is asked for."""
    bomb = compressed(method, bytes(16 * 1024 * 1024))
    assert len(bomb) < 20_000
    pieces = decompressor(method).feed(bomb)
    first = next(pieces)
    assert 0 < len(first) <= MAX_PIECE_SIZE
    assert first + b"".join(pieces) == bytes(16 * 1024 * 1024)


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


@pytest.mark.parametrize("method", UNREADABLE)
def test_what_cannot_be_read_is_named(method: Compression) -> None:
    with pytest.raises(
        PermanentError, match=f"^compression-unsupported .*{method.value} .*one of none, zstd"
    ) as caught:
        decompressor(method)
    assert (caught.value.code, caught.value.field) == (Code.COMPRESSION_UNSUPPORTED, "Compression")


@pytest.mark.parametrize("method", sorted(set(Compression) - set(ENCODED)))
def test_what_is_not_written_is_named(method: Compression) -> None:
    with pytest.raises(PermanentError, match=method.value) as caught:
        list(compress(method, [b"x"]))
    assert caught.value.code is Code.COMPRESSION_UNSUPPORTED


@pytest.mark.parametrize("method", [Compression.ZSTD, Compression.XZ])
def test_a_level_is_the_codecs_own(method: Compression) -> None:
    data = bytes(random.Random(1).choices(b"aaaabbcd", k=100_000))
    sizes = [len(b"".join(compress(method, [data], level=level))) for level in (1, 9)]
    assert sizes[0] > sizes[1]
    assert decompressed(method, compress(method, [data], level=9)) == data


def test_zstd_frames_carry_a_checksum() -> None:
    """A client can then tell a damaged download before it has unpacked it."""
    frame = b"".join(compress(Compression.ZSTD, [b"hello"]))
    with pytest.raises(PermanentError, match="checksum"):
        decompressed(Compression.ZSTD, [flipped(frame, -1)])


@pytest.mark.parametrize("log", [10, 20, 26, 27])
def test_zstd_windows_that_clients_take(log: int) -> None:
    assert decompressed(Compression.ZSTD, [zstd_window(log)]) == b"abc"


@pytest.mark.parametrize("log", [28, 31, 40])
def test_zstd_windows_that_clients_refuse(log: int) -> None:
    """I7: a window is memory."""
    assert refused(Compression.ZSTD, zstd_window(log)).code is Code.COMPRESSED_DATA_MALFORMED


FRAME = compressed(Compression.ZSTD, b"abc")


@pytest.mark.parametrize("size", [1, 1000, 1 << 30])
@pytest.mark.parametrize("frames", [1, 2, 1000])
def test_few_skippable_bytes_stand_before_the_data(size: int, frames: int) -> None:
    """To tell what a file is, libarchive looks at its beginning only."""
    leading = skippable_frame(bytes(MAX_LEADING_SKIPPABLE_SIZE // frames - 8)) * (frames - 1)
    leading += skippable_frame(bytes(MAX_LEADING_SKIPPABLE_SIZE - len(leading) - 8))
    assert len(leading) == MAX_LEADING_SKIPPABLE_SIZE
    assert decompressed(Compression.ZSTD, cut(leading + FRAME, [size])) == b"abc"
    error = refused(Compression.ZSTD, skippable_frame(b"") + leading + FRAME, size=size)
    assert error.code is Code.COMPRESSED_DATA_MALFORMED
    assert f"more than {MAX_LEADING_SKIPPABLE_SIZE} bytes" in error.problem


def test_skippable_bytes_behind_the_first_data_are_not_counted() -> None:
    skipped = skippable_frame(bytes(MAX_LEADING_SKIPPABLE_SIZE))
    assert decompressed(Compression.ZSTD, [SKIPPABLE_FRAME + FRAME + skipped * 5 + FRAME + skipped]) == b"abcabc"


LONGEST_FIELDS = MAX_GZIP_HEADER_SIZE - 10
NAME, EXTRA = b"n" * 60_000 + b"\0", b"\xff\xff" + bytes(65535)


@pytest.mark.parametrize("size", [5000, 1 << 30])
@pytest.mark.parametrize(
    ("flags", "before"),
    [(GZIP_NAME, b""), (GZIP_COMMENT, b""), (GZIP_EXTRA | GZIP_NAME, EXTRA), (GZIP_NAME | GZIP_COMMENT, NAME)],
)
@pytest.mark.parametrize("first", [b"", gzip_member(b"")], ids=["first member", "second member"])
def test_gzip_headers_are_not_endless(size: int, flags: int, before: bytes, first: bytes) -> None:
    """Behind a longer one libarchive takes the member for garbage, and what follows with it."""
    fields = before + b"x" * (LONGEST_FIELDS - len(before) - 1) + b"\0"
    longest = first + gzip_member(b"abc", flags=flags, fields=fields)
    longer = first + gzip_member(b"abc", flags=flags, fields=fields[:-1] + b"x\0")
    assert decompressed(Compression.GZIP, cut(longest, [size])) == b"abc"
    assert "the header is longer" in refused(Compression.GZIP, longer, size=size).problem
    unfinished = longer[: len(first) + MAX_GZIP_HEADER_SIZE + 1]
    assert "the header is longer" in refused(Compression.GZIP, unfinished + b"x", size=size).problem


@pytest.mark.parametrize("padding", [1, 2, 3, 5, 4095])
@pytest.mark.parametrize("following", [b"", compressed(Compression.XZ, b"abc")], ids=["at the end", "between"])
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_xz_stream_padding_is_a_multiple_of_four(padding: int, following: bytes, size: int) -> None:
    data = compressed(Compression.XZ, b"abc") + bytes(padding) + following
    assert "Stream padding comes in multiples of 4 bytes" in refused(Compression.XZ, data, size=size).problem


def test_padding_of_two_streams_is_not_added_up() -> None:
    stream = compressed(Compression.XZ, b"abc")
    assert "multiples of 4 bytes" in refused(Compression.XZ, stream + bytes(2) + stream + bytes(2)).problem


def test_xz_dictionaries_are_limited() -> None:
    """I7: 2 ** 26 (preset 9) is the largest that is needed; 4 GiB would be allocated by the first byte."""
    assert decompressed(Compression.XZ, [xz_dictionary(28)]) == b"abc"
    for code in (32, 40):
        assert "Memory usage limit exceeded" in refused(Compression.XZ, xz_dictionary(code)).problem


@pytest.mark.parametrize("check", [lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256])
def test_every_xz_check(check: int) -> None:
    assert decompressed(Compression.XZ, [lzma.compress(b"abc", check=check)]) == b"abc"


@pytest.mark.parametrize("method", FRAMED)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_every_truncation_is_refused(method: Compression, size: int) -> None:
    """Some zstd readers take a truncated stream for an empty one; Nix waits for ever for the rest of brotli's."""
    data = compressed(method, b"hello world" * 10)
    for length in range(len(data)):
        assert refused(method, data[:length], size=size).code is Code.COMPRESSED_DATA_MALFORMED


@pytest.mark.parametrize("method", CHECKED)
def test_truncation_between_bytes_that_stand_for_nothing_is_refused(method: Compression) -> None:
    """All output is there: only the end is not."""
    data = compressed(method, bytes(5 * MAX_PIECE_SIZE))
    codec = decompressor(method)
    assert b"".join(codec.feed(data[:-1])) == bytes(5 * MAX_PIECE_SIZE)
    with pytest.raises(PermanentError, match="The data ends inside a") as caught:
        codec.close()
    assert caught.value.offset == len(data) - 1


@pytest.mark.parametrize("method", FRAMED)
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
def test_every_single_byte_behind_is_refused(method: Compression, apart: bool) -> None:  # noqa: FBT001
    data = compressed(method, b"abc")
    for byte in range(256):
        error = refused(method, data + bytes([byte]), size=len(data) if apart else 1 << 20)
        assert error.code is Code.COMPRESSED_DATA_MALFORMED


@pytest.mark.parametrize("method", FRAMED)
@pytest.mark.parametrize(
    "garbage", [b"\1\0\0\0", b"garbage" * 10, b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh9"], ids=repr
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_garbage_after_the_last_frame_is_refused(method: Compression, garbage: bytes, size: int) -> None:
    error = refused(method, compressed(method, b"abc") + garbage, size=size)
    assert error.code is Code.COMPRESSED_DATA_MALFORMED


@pytest.mark.parametrize("method", CHECKED)
def test_no_flipped_bit_gives_other_bytes(method: Compression) -> None:
    """A header may say the same in two ways; the contents are under a checksum."""
    data = b"hello world" * 3
    file = compressed(method, data)
    same = 0
    for at, bit in itertools.product(range(len(file)), range(8)):
        changed = bytearray(file)
        changed[at] ^= 1 << bit
        result = outcome(functools.partial(decompressed, method, [bytes(changed)]))
        assert isinstance(result, Failure) or result == data
        same += result == data
    assert same < 60  # gzip's time, system and flags, which clients do not look at either


@pytest.mark.parametrize("method", FRAMED)
def test_nothing_is_no_frame(method: Compression) -> None:
    with pytest.raises(PermanentError, match="There is no data") as caught:
        decompressed(method, [])
    assert (caught.value.field, caught.value.offset) == ("URL", 0)


@pytest.mark.parametrize("method", SEVERAL[1:])
def test_what_follows_the_last_frame_is_reported_where_it_begins(method: Compression) -> None:
    good = compressed(method, random.Random(1).randbytes(300_000))
    assert refused(method, good + b"damage!!" * 100_000).offset == len(good)


@pytest.mark.parametrize("case", [case for case in CASES if not case.accepted], ids=str)
def test_everything_before_an_errors_offset_was_taken(case: CompressionCase) -> None:
    """What is said of the offset in the reference of verdicts, and all that can be said."""
    failure = outcome(lambda: decompressed(case.method, cut(case.file, [64 * 1024])))
    if isinstance(failure, Failure):
        assert failure.field == "URL"
        assert failure.offset is not None
        assert 0 <= failure.offset <= len(case.file)
        list(decompressor(case.method).feed(case.file[: failure.offset]))


@pytest.mark.parametrize("method", [Compression.XZ, Compression.BZIP2, Compression.BR])
def test_damage_is_reported_near_where_it_is(method: Compression) -> None:
    good = compressed(method, random.Random(1).randbytes(1_000_000))
    middle = len(good) // 2
    error = refused(method, good[:middle] + random.Random(2).randbytes(len(good) - middle))
    assert error.offset is not None
    # bzip2 notices at the end of its block, and xz not at once.
    assert middle - 128 * 1024 <= error.offset < len(good)


@pytest.mark.parametrize("method", SEVERAL[1:])
def test_the_number_of_frames_is_bounded(method: Compression, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of empty frames would buy hours of CPU for megabytes."""
    monkeypatch.setattr("nixcache.compression.frames.MAX_FRAMES", 50)
    frame = compressed(method, b"a")
    assert decompressed(method, [frame * 50]) == b"a" * 50
    error = refused(method, frame * 51)
    assert (error.code, error.field, error.offset) == (Code.TOO_LARGE, "URL", 50 * len(frame))


class CountingCodec:
    """Takes frames that are as long as their first two bytes say, and counts what it is handed."""

    calls = 0
    handed = 0
    needs_input = True

    def __init__(self) -> None:
        """Expect a frame's first byte."""
        self.eof = False
        self.unused_data = b""
        self._taken = b""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Take all that belongs to the frame."""
        assert max_length == MAX_PIECE_SIZE
        CountingCodec.calls += 1
        CountingCodec.handed += len(data)
        self._taken += data
        size = int.from_bytes(self._taken[:4], "big")
        self.eof = len(self._taken) >= max(size, 4)
        if self.eof:
            self._taken, self.unused_data = self._taken[:size], self._taken[size:]
        return b""


@pytest.fixture
def counted() -> Frames:
    CountingCodec.calls = CountingCodec.handed = 0
    return Frames(FrameFormat(frame="frame", error=ValueError, open_file=lambda: CountingCodec))


@pytest.mark.parametrize("size", [4, 5, 1000, 4096, 5000, 100_000])
def test_frames_cost_what_they_are_long(counted: Frames, size: int) -> None:
    """A codec copies what is behind its frame: were that all there is, time would grow with the square."""
    frames = min(100_000, 3_000_000 // size)
    assert list(counted.feed((size.to_bytes(4, "big") + bytes(size - 4)) * frames)) == []
    counted.close()
    assert CountingCodec.handed <= frames * (2 * size + 4096 + 4096)


def test_a_long_frame_is_handed_over_in_large_slices(counted: Frames) -> None:
    """Each call costs Python some work, and each piece the pipeline behind it."""
    size = 10_000_000
    assert list(counted.feed(size.to_bytes(4, "big") + bytes(size - 4))) == []
    counted.close()
    assert CountingCodec.calls < size / (128 * 1024) + 8
