"""I1: the second way to a signature begins with a signature that holds, and with nothing else."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.countersign import Countersignable, countersignable
from nixcache.narinfo import NarInfo
from nixcache.signature import Signature
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE
from nixcache.verify import verify
from tests.nixcache.golden import HELLO_NAR, HELLO_NARINFO
from tests.nixcache.strategies import narinfos

OLD, NEW = SecretKey.generate("old-1"), SecretKey.generate("new-1")
ONLY_IT = r"Only nixcache\.countersign\.countersignable makes"
UNSIGNED = dataclasses.replace(NarInfo.parse(HELLO_NARINFO, NIX_STORE), signatures=())
SIGNED = dataclasses.replace(UNSIGNED, signatures=(OLD.sign(verify(UNSIGNED, [HELLO_NAR])),))


@pytest.fixture
def vouched() -> Countersignable:
    found = countersignable(SIGNED, [OLD.public_key])
    assert found is not None
    return found


def test_both_keys_sign_the_same(vouched: Countersignable) -> None:
    signature = NEW.countersign(vouched)
    assert signature == NEW.sign(verify(UNSIGNED, [HELLO_NAR]))
    assert dataclasses.replace(SIGNED, signatures=(signature,)).is_signed_by(NEW.public_key)


@pytest.mark.parametrize(
    "narinfo",
    [
        pytest.param(UNSIGNED, id="no signature"),
        pytest.param(dataclasses.replace(SIGNED, nar_size=SIGNED.nar_size + 8), id="another size"),
        pytest.param(dataclasses.replace(SIGNED, references=()), id="other references"),
        pytest.param(
            dataclasses.replace(SIGNED, signatures=(Signature("new-1", SIGNED.signatures[0].raw),)), id="another name"
        ),
        pytest.param(dataclasses.replace(SIGNED, signatures=(Signature("old-1", bytes(64)),)), id="another signature"),
    ],
)
def test_without_a_signature_that_holds_there_is_none(narinfo: NarInfo) -> None:
    assert countersignable(narinfo, [OLD.public_key, NEW.public_key]) is None


def test_a_key_that_nobody_trusts_any_more_vouches_for_nothing() -> None:
    assert countersignable(SIGNED, [NEW.public_key]) is None
    assert countersignable(SIGNED, []) is None


@given(narinfos(), st.sets(st.sampled_from(("old-1", "new-1"))))
def test_somebodys_claim_is_no_signature(narinfo: NarInfo, names: set[str]) -> None:
    claimed = tuple(Signature(name, bytes(range(64))) for name in sorted(names))
    claim = dataclasses.replace(narinfo, signatures=narinfo.signatures + claimed)
    assert countersignable(claim, [OLD.public_key, NEW.public_key]) is None


@pytest.mark.parametrize("thing", [SIGNED, SIGNED.fingerprint(), None, object()], ids=type)
def test_nothing_else_is_countersigned(thing: object) -> None:
    with pytest.raises(TypeError, match="Only a Countersignable"):
        NEW.countersign(thing)  # type: ignore[arg-type]


def test_a_countersignable_is_not_signed_as_if_it_were_verified(vouched: Countersignable) -> None:
    with pytest.raises(TypeError, match="Only a VerifiedStoreObject"):
        NEW.sign(vouched)  # type: ignore[arg-type]


@pytest.mark.parametrize("seal", [None, object(), True, Countersignable])
def test_it_cannot_be_constructed(seal: object) -> None:
    with pytest.raises(TypeError, match=ONLY_IT):
        Countersignable(seal=seal, message=b"1;/nix/store/...")


def test_it_cannot_be_replaced_changed_or_copied(vouched: Countersignable) -> None:
    with pytest.raises(TypeError, match=ONLY_IT):
        dataclasses.replace(vouched, message=b"")
    with pytest.raises(dataclasses.FrozenInstanceError):
        vouched.message = b""  # type: ignore[misc]
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.copy(vouched)
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(vouched)
    with pytest.raises(TypeError, match="cannot be copied"):
        pickle.loads(pickle.dumps(vouched))  # noqa: S301


def test_an_empty_one_cannot_be_filled() -> None:
    empty = object.__new__(Countersignable)
    with pytest.raises(TypeError, match="cannot be copied"):
        empty.__setstate__([None, b""])
