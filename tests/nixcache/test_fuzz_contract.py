"""The contract of every parser: any input is accepted or raises PermanentError, and nothing else escapes.

`outcome` lets any other exception through, so that it fails the test.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nixcache import nix32
from nixcache.compression import Compression
from nixcache.content_address import ContentAddress
from nixcache.hashes import Hash
from nixcache.narinfo import NarInfo
from nixcache.signature import PublicKey, Signature
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE, StoreDir, StorePath, parse_hash_part
from nixcache.verify import verify
from tests.nixcache.claims import claim
from tests.nixcache.compressed import (
    BR_EMPTY_BLOCK,
    SKIPPABLE_FRAME,
    br_metadata,
    br_stream,
    compressed,
    decompressed,
    gzip_member,
)
from tests.nixcache.golden import HELLO_NAR, HELLO_NARINFO, HELLO_SIGNATURE, PUBLIC_KEY, SECRET_KEY
from tests.nixcache.outcomes import Failure, outcome, parse_nar
from tests.nixcache.strategies import cut, mutations, piece_sizes

NAMED_HASH = "sha256:0lsjdbg0nc5inqb1j26zzzddlf1zpa3sicws8s9a6q4yz7zxq1ba"
TEXT_PARSERS: list[tuple[Callable[[str], object], str]] = [
    (nix32.decode, NAMED_HASH[7:]),
    (Hash.parse, NAMED_HASH),
    (Hash.parse, "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
    (parse_hash_part, "8v5wq9sk6zp7b3n2xqd1c4mmhy8fvgrc"),
    (StorePath.from_base_name, "8v5wq9sk6zp7b3n2xqd1c4mmhy8fvgrc-hello-2.12"),
    (NIX_STORE.parse, "/nix/store/8v5wq9sk6zp7b3n2xqd1c4mmhy8fvgrc-hello-2.12"),
    (StoreDir, "/nix/store"),
    (ContentAddress.parse, f"fixed:r:{NAMED_HASH}"),
    (Signature.parse, HELLO_SIGNATURE),
    (PublicKey.parse, PUBLIC_KEY),
    (SecretKey.parse, SECRET_KEY),
]
# Lone surrogates too: what Python makes of a command line's bytes.
CHARACTERS = st.characters() | st.characters(categories=["Cs"]) | st.sampled_from("\n\r\0 :-=/+٣\uff41")


@st.composite
def near(draw: st.DrawFn, text: str) -> str:
    """``text`` with a few characters changed, or any text at all."""
    if draw(st.booleans()):
        return draw(st.text(CHARACTERS, max_size=80))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 5)))
        text = text[:start] + draw(st.text(CHARACTERS, max_size=3)) + text[end:]
    return text


@pytest.mark.parametrize(
    ("parse", "valid"), TEXT_PARSERS, ids=lambda value: getattr(value, "__qualname__", None) or "text"
)
@given(st.data())
def test_text(parse: Callable[[str], object], valid: str, data: st.DataObject) -> None:
    assert not isinstance(outcome(lambda: parse(valid)), Failure)
    text = data.draw(near(valid))
    outcome(lambda: parse(text))


@given(mutations(HELLO_NARINFO) | st.binary(max_size=300))
@example(b"\xff" * 10)
@example("StorePath: é\n".encode())
def test_narinfo(data: bytes) -> None:
    result = outcome(lambda: NarInfo.parse(data, NIX_STORE))
    if isinstance(result, NarInfo):
        assert NarInfo.parse(result.render(), NIX_STORE) == result


@given(near(HELLO_NARINFO.decode()))
def test_narinfo_in_any_characters(text: str) -> None:
    outcome(lambda: NarInfo.parse(text.encode("utf-8", "surrogatepass"), NIX_STORE))


@given(mutations(HELLO_NAR) | st.binary(max_size=300), piece_sizes())
def test_nar(data: bytes, sizes: list[int]) -> None:
    outcome(lambda: parse_nar(cut(data, sizes)))


FILES = {
    Compression.NONE: HELLO_NAR,
    Compression.ZSTD: compressed(Compression.ZSTD, HELLO_NAR) + SKIPPABLE_FRAME + compressed(Compression.ZSTD, b""),
    Compression.XZ: compressed(Compression.XZ, HELLO_NAR) + bytes(4) + compressed(Compression.XZ, b""),
    Compression.BZIP2: compressed(Compression.BZIP2, HELLO_NAR) + compressed(Compression.BZIP2, b""),
    Compression.GZIP: compressed(Compression.GZIP, b"")
    + gzip_member(HELLO_NAR, flags=0x1F, fields=b"\3\0abcname\0comment\0"),
    Compression.BR: br_stream(HELLO_NAR, between=br_metadata(b"metadata") + BR_EMPTY_BLOCK),
}


@pytest.mark.parametrize("method", FILES)
@given(st.data(), piece_sizes())
def test_decompressor(method: Compression, data: st.DataObject, sizes: list[int]) -> None:
    file = FILES[method]
    assert decompressed(method, [file]) == HELLO_NAR
    changed = data.draw(mutations(file) | st.binary(max_size=300))
    outcome(lambda: decompressed(method, cut(changed, sizes)))


@pytest.mark.parametrize("method", FILES)
@given(st.data())
def test_the_whole_of_verify(method: Compression, data: st.DataObject) -> None:
    narinfo = outcome(lambda: NarInfo.parse(data.draw(mutations(HELLO_NARINFO)), NIX_STORE))
    file = data.draw(st.just(FILES[method]) | mutations(FILES[method]))
    if isinstance(narinfo, NarInfo):
        outcome(lambda: verify(narinfo, [file]))
    outcome(lambda: verify(claim(HELLO_NAR, file=file, compression=method), [file]))
