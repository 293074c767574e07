"""Searching without the interpreter lock finds what ``bytes.find`` does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache import byte_search


@given(
    before=st.integers(0, 40_000),
    wanted=st.binary(min_size=1, max_size=40),
    between=st.binary(max_size=100),
    after=st.integers(0, 40_000),
    start=st.integers(0, 90_000),
)
def test_finds_what_bytes_find_does(before: int, wanted: bytes, between: bytes, after: int, start: int) -> None:
    text = bytes(before) + wanted + between + wanted + bytes(after)
    assert byte_search.find(text, wanted, start) == text.find(wanted, start)
    assert byte_search.find(text, wanted + b"\1", start) == text.find(wanted + b"\1", start)


def test_finds_the_same_where_the_c_library_has_no_memmem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_search, "_memmem", None)
    assert byte_search.find(bytes(100_000) + b"wanted", b"wanted", 1) == 100_000
