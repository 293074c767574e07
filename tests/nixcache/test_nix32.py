"""Nix32: the one encoding that no library has."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache import nix32
from nixcache.errors import Code, PermanentError


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"\0", "00"),
        (b"\x01", "01"),
        (b"\x1f", "0z"),
        (b"\x20", "10"),
        (b"\xff", "7z"),
        (b"\0\x01", "0080"),
        (bytes(20), "0" * 32),
        (b"\xff" * 20, "z" * 32),
        (b"\xff" * 32, "1" + "z" * 51),
        # What `nix-hash --type sha256 --base32` says of an empty file and of "abc".
        (hashlib.sha256(b"").digest(), "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"),
        (hashlib.sha256(b"abc").digest(), "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s"),
    ],
)
def test_golden_in_both_directions(data: bytes, text: str) -> None:
    assert nix32.encode(data) == text
    assert nix32.decode(text) == data


@given(st.binary(max_size=80))
def test_decode_undoes_encode(data: bytes) -> None:
    text = nix32.encode(data)
    assert len(text) == nix32.encoded_length(len(data))
    assert nix32.decode(text) == data


@given(st.text(nix32.ALPHABET, max_size=60))
def test_no_two_texts_stand_for_the_same_bytes(text: str) -> None:
    try:
        data = nix32.decode(text)
    except PermanentError:
        return
    assert nix32.encode(data) == text


@pytest.mark.parametrize("wrong", [*"eouté A٣\n", "\ud800"])
def test_a_character_outside_the_alphabet_is_named_with_its_offset(wrong: str) -> None:
    with pytest.raises(PermanentError) as caught:
        nix32.decode("0" * 7 + wrong + "0" * 24)
    assert (caught.value.code, caught.value.offset) == (Code.HASH_MALFORMED, 7)


@pytest.mark.parametrize("length", [1, 3, 6, 9, 11, 51, 54])
def test_a_length_that_no_bytes_have_is_refused(length: int) -> None:
    with pytest.raises(PermanentError, match="no whole number of bytes"):
        nix32.decode("0" * length)


@pytest.mark.parametrize("text", ["80", "zz", "2" + "0" * 51, "z" * 52])
def test_bits_beyond_the_last_byte_are_refused(text: str) -> None:
    with pytest.raises(PermanentError) as caught:
        nix32.decode(text)
    assert (caught.value.code, caught.value.offset) == (Code.HASH_MALFORMED, 0)
