"""The hash of a NAR modulo its own hash part: equal to the naive definition, however the bytes are cut."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nixcache import hash_modulo
from nixcache.errors import Code, PermanentError
from nixcache.hash_modulo import HashModulo
from nixcache.hashes import HashAlgorithm
from nixcache.store_path import HashPart
from tests.nixcache import self_reference
from tests.nixcache.strategies import cut, piece_sizes

PART = HashPart("0i1dya4y5gbx52zfdr9xdy6xy1pz5s5b")
REPEATING = [HashPart("01" * 16), HashPart("0" * 32), HashPart("0123456789abcdfg" * 2)]
"""Mentions of these may overlap: the first counts, and the next is looked for behind it."""


def naive(part: HashPart, text: bytes) -> tuple[bytes, ...]:
    if part.encode() not in text:
        return (hashlib.sha256(text).digest(),)
    return tuple(self_reference.modulo(part, text, offsets=offsets) for offsets in (True, False))


def modulo(part: HashPart, pieces: list[bytes]) -> tuple[bytes, ...]:
    state = HashModulo(HashAlgorithm.SHA256, part)
    for piece in pieces:
        state.update(piece)
    return state.digests()


@st.composite
def texts(draw: st.DrawFn) -> tuple[HashPart, bytes]:
    part = draw(st.sampled_from([PART, *REPEATING]))
    fragments = st.one_of(
        st.just(part.encode()),
        st.integers(0, 32).map(lambda end: part[:end].encode()),
        st.integers(0, 32).map(lambda start: part[start:].encode()),
        st.sampled_from([b"0", b"01", bytes(31), bytes(32)]),
        st.binary(max_size=80),
    )
    return part, b"".join(draw(st.lists(fragments, max_size=12)))


@given(texts(), piece_sizes())
@example((REPEATING[0], b"01" * 40), [1])
@example((REPEATING[1], b"0" * 95), [33])
@example((PART, PART.encode() * 2), [32])
@example((PART, b"x" * 40 + PART.encode()), [40 + 31, 1])
def test_it_is_the_naive_hash(drawn: tuple[HashPart, bytes], sizes: list[int]) -> None:
    part, text = drawn
    expected = naive(part, text)
    assert modulo(part, [text]) == expected
    assert modulo(part, cut(text, sizes)) == expected


@pytest.mark.parametrize("seam", range(34))
def test_a_mention_across_any_seam_is_found(seam: int) -> None:
    text = b"x" * 64 + PART.encode() + b"y" * 64
    assert modulo(PART, [text[: 63 + seam], text[63 + seam :]]) == naive(PART, text)


@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_without_a_mention_it_is_the_plain_hash(algorithm: HashAlgorithm) -> None:
    text = b"abc" * 100
    state = HashModulo(algorithm, PART)
    state.update(text)
    assert state.digests() == (hashlib.new(algorithm, text, usedforsecurity=False).digest(),)
    assert modulo(PART, []) == (hashlib.sha256(b"").digest(),)


def test_nuls_that_stood_there_before_are_told_apart_by_the_offsets_alone() -> None:
    """Else two objects have one address: one that mentions itself, and one with NULs instead."""
    with_offsets, without = modulo(PART, [PART.encode()])
    (nuls,) = modulo(PART, [bytes(32)])
    assert with_offsets != nuls
    assert without == nuls, "Nix 2.17 to 2.34"


def test_where_a_mention_stands_counts() -> None:
    assert modulo(PART, [PART.encode() + bytes(32)])[0] != modulo(PART, [bytes(32) + PART.encode()])[0]


def test_more_mentions_than_are_rendered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_modulo, "_OFFSETS_AT_ONCE", 3)
    text = (PART.encode() + b"/") * 10
    assert modulo(PART, [text]) == naive(PART, text)


def test_mentions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: each mention's offset is held until the end."""
    monkeypatch.setattr(hash_modulo, "MAX_SELF_REFERENCES", 3)
    modulo(PART, [PART.encode() * 3])
    with pytest.raises(PermanentError) as caught:
        modulo(PART, [PART.encode()] * 4)
    assert (caught.value.code, caught.value.field) == (Code.TOO_LARGE, "CA")
