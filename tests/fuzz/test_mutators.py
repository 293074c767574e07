"""Mutators: the same seed gives the same input, and it still reaches behind lengths, checksums, hashes."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from fuzz.corpus import seeds
from fuzz.cuts import cuts
from fuzz.decompression import decompress
from fuzz.mutators.archives import mutate_archive, strings
from fuzz.oracles.archive import encode, read
from fuzz.targets import TARGETS
from nixcache.compression import Compression
from nixcache.errors import PermanentError
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE
from nixcache.verify import verify
from tests.nixcache.golden import HELLO_NAR

ROUNDS = 30


def unchanged(part: bytes) -> bytes:
    return part


def mutations(target: str) -> Iterator[tuple[bytes, bytes]]:
    mutate = TARGETS[target].mutate
    for path in seeds(target):
        data = path.read_bytes()
        for seed in range(ROUNDS):
            yield data, mutate(data, random.Random(seed), unchanged)


@pytest.mark.parametrize("target", TARGETS)
def test_a_seed_gives_the_same_input_again(target: str) -> None:
    assert list(mutations(target)) == list(mutations(target))
    assert any(before != after for before, after in mutations(target))


def test_a_mutated_archive_is_one_still_now_and_then() -> None:
    results = {mutate_archive(HELLO_NAR, random.Random(seed), unchanged) for seed in range(500)}
    assert sum(read(nar) is not None for nar in results) > 20
    assert sum(read(nar) is None for nar in results) > 100


def test_an_archive_is_its_strings() -> None:
    assert encode(strings(HELLO_NAR)) == HELLO_NAR


@pytest.mark.parametrize("method", ["zstd", "xz", "bzip2", "gzip", "br"])
def test_mutated_files_decompress_to_more_than_their_seeds(method: str) -> None:
    def plain(data: bytes) -> bytes:
        return decompress(Compression(method), [data], enough=100_000).data

    assert len({plain(after) for _, after in mutations(method)}) > len(
        {plain(before) for before, _ in mutations(method)}
    )


def test_mutated_submissions_are_verified_now_and_then() -> None:
    accepted = set()
    for _, data in mutations("verify"):
        head, _, file = data.partition(b"\n\n")
        try:
            claim = NarInfo.parse(head + b"\n", NIX_STORE)
            verify(claim, [file])
        except PermanentError:
            continue
        accepted.add((claim.compression, claim.references, claim.ca))
    assert len(accepted) > 20


def test_cuts_are_of_the_same_bytes() -> None:
    whole, bytewise, *others = cuts(HELLO_NAR)
    assert whole == [HELLO_NAR]
    assert len(bytewise) == len(HELLO_NAR)
    assert all(b"".join(pieces) == HELLO_NAR and len(pieces) > 1 for pieces in (bytewise, *others))
