"""I7: a bomb ends at the size that it said, quickly, and memory stays bounded whatever a submission holds."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from nixcache.compression import MAX_FRAMES, Compression
from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.errors import Code, PermanentError
from nixcache.narinfo import NarInfo
from nixcache.verify import Limits, verify
from tests.nixcache.claims import claim, sha256
from tests.nixcache.compressed import SKIPPABLE_FRAME, bomb, compressed
from tests.nixcache.nar_model import MAGIC, File, encode, nar

GIB = 1024**3
OPENING = encode((MAGIC, b"(", b"type", b"regular", b"contents")) + (20 * GIB).to_bytes(8, "little")
"""A NAR of one file of 20 GiB, which a bomb of zeros goes on as long as anybody reads."""


ANY_EXPANSION = Limits(max_expansion=2**40)


def rejected(
    narinfo: NarInfo, chunks: Iterable[bytes], limits: Limits = ANY_EXPANSION
) -> tuple[PermanentError, int, float]:
    """Return why, and at what peak of memory and within how many seconds of work, whatever else the machine does."""
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(PermanentError) as caught:
            verify(narinfo, chunks, limits=limits)
        return caught.value, tracemalloc.get_traced_memory()[1], time.process_time() - start
    finally:
        tracemalloc.stop()


BOMBS = {
    Compression.BZIP2: 15_000,
    Compression.BR: 20_000,
    Compression.ZSTD: 400_000,
    Compression.XZ: 2_000_000,
    Compression.GZIP: 11_000_000,
}
"""Methods, and into how many bytes each squeezes 10 GiB of zeros."""


@pytest.mark.parametrize("method", BOMBS)
def test_a_bomb_of_ten_gibibytes_ends_where_it_said(method: Compression) -> None:
    """I7: nothing beyond the declared size is expanded."""
    file = b"".join(bomb(method, OPENING, 10 * GIB))
    assert len(file) < BOMBS[method]
    for said in (512 * 1024, 1024 * 1024, 100 * 1024 * 1024):
        narinfo = claim(OPENING, compression=method, nar_size=said, file_size=None)
        # No more of it than the limit of a file's size, which would end it before.
        error, peak, seconds = rejected(narinfo, [file[:said]])
        assert (error.code, error.field, error.offset) == (Code.NAR_SIZE_MISMATCH, "NarSize", said)
        assert peak < 24 * 1024 * 1024  # 8 MiB of it may be a dictionary, and a few are pieces between two threads
        assert seconds < 10


@pytest.mark.parametrize("method", BOMBS)
def test_a_bomb_that_says_how_large_it_is_is_no_nar(method: Compression) -> None:
    """I7: ten gibibytes of nothing end at the first byte."""
    narinfo = claim(b"", compression=method, nar_size=10 * GIB, file_size=None)
    error, peak, seconds = rejected(narinfo, list(bomb(method, b"", 10 * GIB)))
    assert (error.code, error.offset) == (Code.NAR_MALFORMED, 0)
    assert peak < 24 * 1024 * 1024
    assert seconds < 5


def test_a_bomb_that_tells_both_its_sizes_is_not_even_read() -> None:
    """I7: nothing real is four thousand times as large as its file."""
    chunks = bomb(Compression.ZSTD, b"", 10 * GIB)
    narinfo = claim(b"", compression=Compression.ZSTD, nar_size=10 * GIB, file_size=300_000)
    error, _, _ = rejected(narinfo, chunks, Limits())
    assert (error.code, error.field) == (Code.TOO_LARGE, "NarSize")
    assert next(iter(chunks), None) is not None


def test_a_bomb_that_tells_one_size_is_known_in_the_end() -> None:
    data = nar(File(bytes(65 * 1024 * 1024)))
    file = compressed(Compression.ZSTD, data)
    assert len(file) * 4096 < len(data)
    narinfo = claim(data, compression=Compression.ZSTD, file_size=None, file_hash=None)
    error, _, _ = rejected(narinfo, [file], Limits())
    assert (error.code, error.field) == (Code.TOO_LARGE, "NarSize")
    verify(narinfo, [file], limits=ANY_EXPANSION)


@pytest.mark.parametrize("cut", [1000, 10**6])
def test_a_file_padded_with_frames_that_stand_for_nothing_ends_at_what_its_nar_may_need(cut: int) -> None:
    """I7: a few of them may be any length, so it is the bytes that count."""
    data = nar(File(b"x"))
    allowed = Limits().max_file_size(len(data))
    padding = b"\x50\x2a\x4d\x18" + (10**6).to_bytes(4, "little") + bytes(10**6)
    file = compressed(Compression.ZSTD, data) + padding
    narinfo = claim(data, compression=Compression.ZSTD, file_size=None, file_hash=None)
    error, _, _ = rejected(narinfo, [file[at : at + cut] for at in range(0, len(file), cut)])
    assert (error.code, error.field) == (Code.TOO_LARGE, "FileSize")
    assert str(allowed) in error.problem


def test_a_file_of_frames_that_stand_for_nothing_ends() -> None:
    """I7: it never grows the NAR, so only the number of frames stops it."""
    narinfo = claim(nar(File()), compression=Compression.ZSTD, nar_size=2**30, file_size=None)
    with pytest.raises(PermanentError) as caught:
        verify(narinfo, [compressed(Compression.ZSTD, b""), *[SKIPPABLE_FRAME * 1000] * (MAX_FRAMES // 1000)])
    assert caught.value.code is Code.TOO_LARGE


def test_a_million_nested_directories_end_at_the_sixty_fifth() -> None:
    opening = encode((b"(", b"type", b"directory", b"entry", b"(", b"name", b"d", b"node"))
    data = encode([MAGIC]) + opening * 1_000_000
    pieces = iter([data[at : at + 1_000_000] for at in range(0, len(data), 1_000_000)])
    error, _, _ = rejected(claim(data), pieces)
    assert error.code is Code.NAR_MALFORMED
    assert len(list(pieces)) > 50, "of more than a hundred"


def test_a_length_of_two_to_the_sixty_third_ends_at_once() -> None:
    data = OPENING[:-8] + (2**63).to_bytes(8, "little") + bytes(1000)
    error, peak, _ = rejected(claim(data), [data])
    assert (error.code, error.offset) == (Code.NAR_MALFORMED, len(OPENING) - 8)
    assert peak < 1_000_000


def test_many_entries_stay_within_the_listings_bound() -> None:
    """I7: 50,000 entries are read without a tree in memory; only the listing grows, up to its limit."""
    words = [b"entry", b"(", b"name", b"000000", b"node", b"(", b"type", b"symlink", b"target", b"t", b")", b")"]
    before, after = encode(words).split(b"000000")
    data = encode((MAGIC, b"(", b"type", b"directory"))
    data += b"".join(before + b"%06d" % number + after for number in range(50_000)) + encode([b")"])
    narinfo = claim(data)
    pieces = [data[at : at + 1_000_000] for at in range(0, len(data), 1_000_000)]
    verified = verify(narinfo, pieces)
    assert verified.listing is not None
    assert len(verified.listing) < 32 * 1024 * 1024


def test_mentions_of_itself_without_end_stop() -> None:
    """I7: hashing modulo itself keeps an offset for each mention."""
    subject = claim(b"").store_path
    contents = subject.hash_part.encode() * 1_000_001
    data = nar(File(contents))
    ca = ContentAddress(ContentAddressMethod.NAR, sha256(data))
    with pytest.raises(PermanentError) as caught:
        verify(claim(data, ca=ca, references=[subject]), [data])
    assert (caught.value.code, caught.value.field) == (Code.TOO_LARGE, "CA")


def measured(module: str, argument: str) -> float:
    command = [sys.executable, "-m", f"tests.nixcache.{module}", argument]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_peak_memory_is_flat_in_the_size_of_the_nar() -> None:
    """I7: the whole process, codec included, with the largest window that is allowed: below 256 MiB at any size."""
    small, large = measured("peak_memory", "160"), measured("peak_memory", "320")
    assert large < 256
    assert large < small + 16


@pytest.mark.parametrize(
    ("method", "mebibytes"), [("zstd", 128 + 8), ("xz", 128), ("bzip2", 4 + 6), ("gzip", 6), ("br", 16 + 6)]
)
def test_a_decompressor_takes_its_window_and_little_more(method: str, mebibytes: int) -> None:
    """I7: for a file that asks for the largest there is."""
    assert measured("codec_memory", method) < mebibytes
