"""The hash of a NAR modulo its own hash part: equal to the naive definition, however the bytes are cut."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache import hash_modulo
from nixcache.errors import Code, PermanentError
from nixcache.hash_modulo import HashModulo
from nixcache.hashes import HashAlgorithm
from nixcache.store_path import HashPart
from tests.nixcache.strategies import cut, piece_sizes

PART = HashPart("0i1dya4y5gbx52zfdr9xdy6xy1pz5s5b")
OVERLAPPING = HashPart("0101" * 8)


def naive(part: HashPart, text: bytes) -> bytes:
    """Blot out mention after mention, noting where each was; then hash the bytes and the places."""
    places = b""
    at = text.find(part.encode())
    while at >= 0:
        places += b"|%d" % at
        text = text[:at] + bytes(32) + text[at + 32 :]
        at = text.find(part.encode())
    return hashlib.sha256(text + places).digest()


def modulo(part: HashPart, pieces: list[bytes]) -> bytes:
    state = HashModulo(HashAlgorithm.SHA256, part)
    for piece in pieces:
        state.update(piece)
    return state.digest()


@st.composite
def texts(draw: st.DrawFn) -> tuple[HashPart, bytes]:
    part = draw(st.sampled_from([PART, OVERLAPPING]))
    fragments = st.one_of(
        st.just(part.encode()),
        st.integers(0, 32).map(lambda end: part[:end].encode()),
        st.integers(0, 32).map(lambda start: part[start:].encode()),
        st.sampled_from([b"01", b"\0" * 32]),
        st.binary(max_size=40),
    )
    return part, b"".join(draw(st.lists(fragments, max_size=10)))


@given(texts(), piece_sizes())
def test_it_is_the_naive_hash(drawn: tuple[HashPart, bytes], sizes: list[int]) -> None:
    part, text = drawn
    assert modulo(part, [text]) == naive(part, text)
    assert modulo(part, cut(text, sizes)) == naive(part, text)


def test_without_a_mention_it_is_the_plain_hash() -> None:
    assert modulo(PART, [b"abc"]) == hashlib.sha256(b"abc").digest()
    assert modulo(PART, []) == hashlib.sha256(b"").digest()


def test_nuls_that_stood_there_before_are_told_apart() -> None:
    """Else two objects would have one address: one that mentions itself, and one with NULs instead."""
    assert modulo(PART, [PART.encode()]) != modulo(PART, [bytes(32)])


def test_where_a_mention_stands_counts() -> None:
    assert modulo(PART, [PART.encode() + bytes(32)]) != modulo(PART, [bytes(32) + PART.encode()])


def test_mentions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: each mention's offset is held until the end."""
    monkeypatch.setattr(hash_modulo, "MAX_SELF_REFERENCES", 3)
    modulo(PART, [PART.encode() * 3])
    with pytest.raises(PermanentError) as caught:
        modulo(PART, [PART.encode()] * 4)
    assert (caught.value.code, caught.value.field) == (Code.TOO_LARGE, "CA")
