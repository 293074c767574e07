"""Signatures and public keys: Nix's text, and what holds under what."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given

from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash
from nixcache.signature import PublicKey, Signature, fingerprint
from nixcache.store_path import NIX_STORE, StorePath
from tests.nixcache.golden import HELLO, HELLO_NAR_HASH, HELLO_SIGNATURE, PUBLIC_KEY, ZLIB
from tests.nixcache.strategies import signatures

ENCODED = base64.b64encode(bytes(range(64))).decode()


@given(signatures())
def test_a_signature_reads_back(signature: Signature) -> None:
    assert Signature.parse(str(signature)) == signature


def test_golden_texts_read_back() -> None:
    assert str(Signature.parse(HELLO_SIGNATURE)) == HELLO_SIGNATURE
    assert str(PublicKey.parse(PUBLIC_KEY)) == PUBLIC_KEY
    assert PublicKey.parse(PUBLIC_KEY).name == Signature.parse(HELLO_SIGNATURE).key_name == "cache.example.org-1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "name",
        "name:",
        f":{ENCODED}",
        f"na me:{ENCODED}",
        f"name\n:{ENCODED}",
        f"näme:{ENCODED}",
        f"{'n' * 256}:{ENCODED}",
        f"name:{ENCODED}\n",
        f"name: {ENCODED}",
        f"name:{ENCODED}=",
        f"name:{ENCODED[:-4]}",
        "name:" + base64.b64encode(bytes(63)).decode(),
        "name:" + base64.b64encode(bytes(8193)).decode(),
        f"name:{ENCODED[:-2]}",
        f"name:{ENCODED[:40]}\n{ENCODED[40:]}",
        # The last character's spare bits are set: two texts for one signature.
        f"name:{ENCODED[:-3]}x==",
        f"name:{ENCODED[:-4]}é===",
        f"name:x:{ENCODED}",
    ],
)
def test_malformed_signatures(text: str) -> None:
    """One that carries a trusted name and is short or broken makes Nix refuse the whole path."""
    with pytest.raises(PermanentError) as caught:
        Signature.parse(text)
    assert caught.value.code is Code.SIGNATURE_MALFORMED


@pytest.mark.parametrize("size", [64, 65, 104, 4627, 8192])
def test_a_signature_of_another_kind_is_one_that_does_not_hold(size: int) -> None:
    """Newer clients make them; a narinfo that has one beside others is still a narinfo."""
    key = PublicKey.parse(PUBLIC_KEY)
    signature = Signature(key.name, bytes(size))
    assert Signature.parse(str(signature)) == signature
    assert not key.verifies(b"message", signature)


@pytest.mark.parametrize("text", ["", "name", f"name:{ENCODED}", PUBLIC_KEY + "\n", PUBLIC_KEY[:-1], f"x {PUBLIC_KEY}"])
def test_malformed_public_keys(text: str) -> None:
    with pytest.raises(PermanentError) as caught:
        PublicKey.parse(text)
    assert caught.value.code is Code.KEY_MALFORMED


def test_the_fingerprint_sorts_references_and_names_them_in_full() -> None:
    references = [StorePath.from_base_name(HELLO), StorePath.from_base_name(ZLIB)]
    assert fingerprint(
        store_dir=NIX_STORE,
        store_path=references[0],
        nar_hash=Hash.parse(HELLO_NAR_HASH),
        nar_size=976,
        references=references,
    ) == (f"1;/nix/store/{HELLO};{HELLO_NAR_HASH};976;/nix/store/{ZLIB},/nix/store/{HELLO}".encode())


def test_without_references_the_fingerprint_ends_with_a_semicolon() -> None:
    path = StorePath.from_base_name(ZLIB)
    nar_hash = Hash.parse(HELLO_NAR_HASH)
    assert fingerprint(store_dir=NIX_STORE, store_path=path, nar_hash=nar_hash, nar_size=1, references=()).endswith(
        b";1;"
    )


def test_the_key_name_is_part_of_what_a_key_is() -> None:
    key = PublicKey.parse(PUBLIC_KEY)
    good = Signature.parse(HELLO_SIGNATURE)
    message = (f"1;/nix/store/{HELLO};{HELLO_NAR_HASH};976;/nix/store/{ZLIB},/nix/store/{HELLO}").encode()
    assert key.verifies(message, good)
    assert not key.verifies(message, Signature("cache.example.org-2", good.raw))
    assert not key.verifies(message + b" ", good)
    assert not key.verifies(message, Signature(good.key_name, good.raw[:-1] + bytes([good.raw[-1] ^ 1])))


@pytest.mark.parametrize("raw", [bytes(32), b"\1" + bytes(31), b"\xff" * 32], ids=["zero", "identity", "ones"])
def test_a_key_of_small_order_verifies_nothing(raw: bytes) -> None:
    """Under such a key anybody's signature of anything would hold."""
    assert not PublicKey("k", raw).verifies(b"message", Signature("k", bytes(64)))
    assert not PublicKey("k", raw).verifies(b"message", Signature("k", b"\1" + bytes(63)))
