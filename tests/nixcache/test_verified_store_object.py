"""I1: a VerifiedStoreObject comes from verify() and from nowhere else."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE
from nixcache.verify import VerifiedStoreObject, verify
from tests.nixcache.golden import HELLO_NAR, HELLO_NARINFO

ONLY_VERIFY = r"Only nixcache\.verify\.verify makes"


@pytest.fixture
def verified() -> VerifiedStoreObject:
    return verify(NarInfo.parse(HELLO_NARINFO, NIX_STORE), [HELLO_NAR])


def fields(verified: VerifiedStoreObject) -> dict[str, Any]:
    return {field.name: getattr(verified, field.name) for field in dataclasses.fields(verified)}


@pytest.mark.parametrize("seal", [None, object(), True, "seal", VerifiedStoreObject])
def test_it_cannot_be_constructed(verified: VerifiedStoreObject, seal: object) -> None:
    """I1: not even with every value right."""
    with pytest.raises(TypeError, match=ONLY_VERIFY):
        VerifiedStoreObject(**{**fields(verified), "seal": seal})


def test_one_does_not_hand_its_seal_on(verified: VerifiedStoreObject) -> None:
    """I1: what a verified object carries makes no second one."""
    with pytest.raises(TypeError, match=ONLY_VERIFY):
        VerifiedStoreObject(**fields(verified))


@pytest.mark.parametrize("change", [{}, {"nar_size": 1}, {"references": ()}, {"store_path": None}], ids=str)
def test_it_cannot_be_replaced(verified: VerifiedStoreObject, change: dict[str, Any]) -> None:
    """I1: dataclasses.replace is a constructor, too."""
    with pytest.raises(TypeError, match=ONLY_VERIFY):
        dataclasses.replace(verified, **change)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(VerifiedStoreObject)])
def test_it_cannot_be_changed(verified: VerifiedStoreObject, field: str) -> None:
    """I1: frozen, every field."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(verified, field, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(verified, field)


def test_it_cannot_be_copied(verified: VerifiedStoreObject) -> None:
    """I1: copy and pickle fill an object without asking the constructor."""
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.copy(verified)
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(verified)
    with pytest.raises(TypeError, match="cannot be copied"):
        pickle.loads(pickle.dumps(verified))  # noqa: S301


def test_an_empty_one_cannot_be_filled() -> None:
    """I1: nor does the door that pickle uses let anybody else in."""
    empty = object.__new__(VerifiedStoreObject)
    with pytest.raises(TypeError, match="cannot be copied"):
        empty.__setstate__([None] * len(dataclasses.fields(VerifiedStoreObject)))
