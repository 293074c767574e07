"""The parser against the real one: never laxer than `nix-store --restore`, and stricter only for a stated reason.

Whichever Nix is on PATH; `make differential` asks three generations, about thousands of cases.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from nixcache.nar import dump
from tests.nixcache.nar_cases import NarCase, nar_cases
from tests.nixcache.nar_model import File, Link, Tree, nar
from tests.nixcache.nar_traps import TRAPS, NarTrap
from tests.nixcache.outcomes import Failure, outcome, parse_nar
from tests.nixcache.relocated_nix import RelocatedNix

_NUMBERS = itertools.count()


def restored(nix: RelocatedNix, data: bytes) -> Path | None:
    """Return where Nix has unpacked ``data``, or None where it refuses."""
    path = nix.root / f"restored-{next(_NUMBERS)}"
    # Nix 2.8 allocates whatever length a string announces: without a limit a damaged one takes all memory there is.
    restore = 'ulimit -v 6000000; exec nix-store --restore "$0"'
    return path if nix.attempt("sh", "-c", restore, path, data=data).returncode == 0 else None


def judge(nix: RelocatedNix, data: bytes) -> None:
    """Compare both verdicts.

    What ours accepts, Nix restores, and its tree has that very NAR. What ours refuses and Nix restores was not the
    NAR of anything: the tree that comes out has another one. So ours refuses exactly what cannot be reproduced.
    """
    refused = isinstance(outcome(lambda: parse_nar([data])), Failure)
    path = restored(nix, data)
    if not refused:
        assert path is not None, "ours is laxer"
        assert b"".join(dump(path)) == data
    elif path is not None:
        exists = path.is_symlink() or path.exists()  # without a type, Nix 2.8 succeeds and makes nothing
        # Deeper than 64 levels, the older ones restore what ours does not even dump.
        assert not exists or outcome(lambda: b"".join(dump(path))) != data, "ours is stricter without a reason"


SMALL = Tree({b"a": File(b"hello", executable=True), b"b": Link(b"a"), b"c": Tree({b"d": File(b"x" * 8)})})


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(nar_cases([nar(SMALL)]))
def test_generated_nars(nix: RelocatedNix, case: NarCase) -> None:
    judge(nix, case.data)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_traps(nix: RelocatedNix, trap: NarTrap) -> None:
    refused = isinstance(outcome(lambda: parse_nar([trap.data])), Failure)
    assert refused != trap.accepted
    if trap.accepted:
        judge(nix, trap.data)
    elif not trap.restored_by:
        assert restored(nix, trap.data) is None
