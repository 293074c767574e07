"""Hashes against the real parser: the same bytes for every text, and stricter only for a stated reason."""

from __future__ import annotations

import base64
import hashlib

import pytest

from nixcache import nix32
from nixcache.errors import PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from tests.nixcache.relocated_nix import RelocatedNix


@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_every_encoding_of_every_algorithm(nix: RelocatedNix, algorithm: HashAlgorithm) -> None:
    digest = hashlib.new(algorithm, b"assay", usedforsecurity=False).digest()
    value = Hash(algorithm, digest)
    encoded = base64.b64encode(digest).decode()
    texts = [str(value), f"{algorithm}:{value.hex}", f"{algorithm}:{encoded}", f"{algorithm}-{encoded}"]
    assert nix.line("nix", "hash", "to-base32", *texts).split() == [nix32.encode(digest)] * len(texts)
    assert [Hash.parse(text) for text in texts] == [value] * len(texts)


@pytest.mark.parametrize(
    "text",
    [
        "sha256:" + "0" * 51,
        "sha256:z" + "0" * 51,
        "sha256:e" + "0" * 51,
        "sha256-" + "0" * 52,
        "sha256-" + "0" * 64,
        "0" * 52,
    ],
)
def test_what_both_refuse(nix: RelocatedNix, text: str) -> None:
    assert nix.attempt("nix", "hash", "to-base16", text).returncode != 0
    with pytest.raises(PermanentError):
        Hash.parse(text)


@pytest.mark.parametrize("text", ["sha256-" + "A" * 43, "sha256-" + "A" * 42 + "B="], ids=["no padding", "spare bits"])
def test_where_ours_is_stricter(nix: RelocatedNix, text: str) -> None:
    """Two texts would stand for one hash, and Nix itself writes neither."""
    assert nix.attempt("nix", "hash", "to-base16", text).returncode == 0
    with pytest.raises(PermanentError):
        Hash.parse(text)
