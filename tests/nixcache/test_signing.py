"""Signing: what can be signed, and where a secret never shows."""

from __future__ import annotations

import copy
import dataclasses
import traceback

import pytest

from nixcache.compression import Compression
from nixcache.errors import Code, PermanentError
from nixcache.narinfo import NarInfo
from nixcache.signature import PublicKey, render_named_bytes
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE
from nixcache.verify import VerifiedStoreObject, verify
from tests.nixcache.golden import HELLO_NAR, HELLO_NARINFO, HELLO_SIGNATURE, PUBLIC_KEY, SECRET_KEY

SECRET = SECRET_KEY.partition(":")[2]


@pytest.fixture
def verified() -> VerifiedStoreObject:
    return verify(NarInfo.parse(HELLO_NARINFO, NIX_STORE), [HELLO_NAR])


def test_nixs_key_gives_nixs_signature(verified: VerifiedStoreObject) -> None:
    """Ed25519 is deterministic: the same key and fingerprint give the same 64 bytes."""
    assert str(SecretKey.parse(SECRET_KEY).sign(verified)) == HELLO_SIGNATURE


def test_the_signed_narinfo_is_nixs_own(verified: VerifiedStoreObject) -> None:
    """I5: rendered from values alone, and equal to what `nix copy` wrote."""
    assert verified.narinfo((SecretKey.parse(SECRET_KEY).sign(verified),)).render() == HELLO_NARINFO


def test_a_new_key_signs_what_its_public_half_verifies(verified: VerifiedStoreObject) -> None:
    key = SecretKey.generate("test-1")
    assert key.name == key.public_key.name == "test-1"
    narinfo = verified.narinfo((key.sign(verified),))
    assert narinfo.is_signed_by(PublicKey.parse(str(key.public_key)))
    assert not narinfo.is_signed_by(SecretKey.generate("test-1").public_key)


def test_a_key_reads_back() -> None:
    key = SecretKey.parse(SECRET_KEY)
    assert key.reveal() == SECRET_KEY
    assert SecretKey.parse(key.reveal() + "\n").reveal() == SECRET_KEY
    assert str(key.public_key) == PUBLIC_KEY


def test_two_new_keys_differ() -> None:
    assert SecretKey.generate("a").reveal() != SecretKey.generate("a").reveal()


def claim() -> NarInfo:
    return NarInfo.parse(HELLO_NARINFO, NIX_STORE)


@pytest.mark.parametrize(
    "thing",
    [claim(), claim().fingerprint(), claim().render(), None, object(), VerifiedStoreObject],
    ids=["narinfo", "fingerprint", "text", "None", "object", "the type"],
)
def test_nothing_but_a_verified_store_object_is_signed(thing: object) -> None:
    """I1: a narinfo has every attribute that a fingerprint is made of, and still is only a claim."""
    with pytest.raises(TypeError, match="Only a VerifiedStoreObject is signed"):
        SecretKey.parse(SECRET_KEY).sign(thing)  # type: ignore[arg-type]


def test_a_subclass_that_skips_the_seal_is_not_signed() -> None:
    """I1: nor does inheritance make one."""

    class Forged(VerifiedStoreObject):  # type: ignore[misc]
        def __post_init__(self) -> None:
            pass

    known = claim()
    forged = Forged(
        seal=None,
        store_dir=known.store_dir,
        store_path=known.store_path,
        nar_hash=known.nar_hash,
        nar_size=known.nar_size,
        file_hash=known.nar_hash,
        file_size=known.nar_size,
        compression=Compression.NONE,
        references=(),
        deriver=None,
        ca=None,
        listing=None,
        build_ids=(),
        unmentioned=(),
        undeclared=(),
        more_undeclared=False,
    )
    with pytest.raises(TypeError, match="not a Forged"):
        SecretKey.parse(SECRET_KEY).sign(forged)


def test_a_key_shows_its_name_only() -> None:
    """I8: a secret that reaches a log is no secret."""
    key = SecretKey.parse(SECRET_KEY)
    for shown in (repr(key), str(key), f"{key}", repr([key]), repr(copy.copy(key)), repr(key.public_key)):
        assert "cache.example.org-1" in shown
        assert SECRET[:20] not in shown
    assert not dataclasses.is_dataclass(key)


@pytest.mark.parametrize(
    "text",
    [
        f"name{SECRET}",
        f":{SECRET}",
        f"two words:{SECRET}",
        f"name:{SECRET}\n\n",
        f"name:{SECRET}\r\n",
        f" name:{SECRET}",
        f"name: {SECRET}",
        f"name:{SECRET}é",
        f"name:{SECRET[:-4]}",
        f"name:{SECRET}AAAA",
        f"name:{SECRET[:44]}{SECRET[:42]}==",
        f"{SECRET}:name",
        f"name:x:{SECRET}",
    ],
)
def test_an_error_never_quotes_a_secret_key(text: str) -> None:
    """I8: neither its message, nor its arguments, nor the traceback with its causes."""
    with pytest.raises(PermanentError) as caught:
        SecretKey.parse(text)
    error = caught.value
    assert error.code is Code.KEY_MALFORMED
    shown = f"{error} {error!r} {error.args} {error.problem} {error.remedy} {error.__cause__!r} {error.__context__!r}"
    shown += "".join(traceback.format_exception_only(error))
    assert not any(SECRET[at : at + 8] in shown for at in range(0, len(SECRET) - 8, 4))


def test_a_key_whose_public_half_is_another_is_refused() -> None:
    """Readers trust the public half that the file shows: signatures under another would verify nowhere."""
    mine, other = SecretKey.generate("k"), SecretKey.generate("k")
    seed = bytes(mine._key)
    with pytest.raises(PermanentError, match="public half is not its own") as caught:
        SecretKey.parse(render_named_bytes("k", seed + other.public_key.raw))
    assert caught.value.code is Code.KEY_MALFORMED


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\n", "ä", "n" * 256])
def test_a_name_that_no_key_can_have(name: str) -> None:
    with pytest.raises(PermanentError) as caught:
        SecretKey.generate(name)
    assert caught.value.code is Code.KEY_MALFORMED
