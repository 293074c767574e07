"""Hashes: every encoding that Nix reads, one that we write."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given

from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from tests.nixcache.strategies import hashes

ABC = Hash(HashAlgorithm.SHA256, hashlib.sha256(b"abc").digest())


@pytest.mark.parametrize(
    "text",
    [
        "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "sha256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    ],
)
def test_every_encoding_gives_the_same_hash(text: str) -> None:
    assert Hash.parse(text) == ABC


def test_what_is_written_is_nix32() -> None:
    assert str(ABC) == "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s"
    assert ABC.nix32 == "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s"
    assert ABC.hex == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(("name", "size"), [("md5", 16), ("sha1", 20), ("sha256", 32), ("sha512", 64)])
def test_each_algorithm_has_its_digest_size(name: str, size: int) -> None:
    algorithm = HashAlgorithm(name)
    assert algorithm.digest_size == size
    assert len(algorithm.new().digest()) == size


@given(hashes())
def test_each_encoding_of_any_hash_reads_back(value: Hash) -> None:
    encoded = base64.b64encode(value.digest).decode()
    name = value.algorithm.value
    for text in (str(value), f"{name}:{value.hex}", f"{name}:{encoded}", f"{name}-{encoded}"):
        assert Hash.parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
        "sha256:",
        "sha256-",
        "SHA256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
        "sha3:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
        " sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
        "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s\n",
        "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5",
        "sha256:eb8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
        "sha256:zb8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
        "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha1:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
        # SRI is base64 only.
        "sha256-1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
        "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        # Stricter than Nix, which lets both through: no padding, and spare bits set in the last character.
        "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0",
        "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa1=",
        "sha256-ungWv48Bz+pBQUDeXa4i\nI7ADYaOWF3qctBD/YfIAFa0=",
        "sha256-ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0=",
        "sha256:٣a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(PermanentError) as caught:
        Hash.parse(text)
    assert caught.value.code is Code.HASH_MALFORMED
