"""What the tests of nixcache share: real Nix, and patience with a busy machine."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import settings

from tests.nixcache.relocated_nix import RelocatedNix

# No deadline: how long one example takes says more about the machine's other work than about ours.
settings.register_profile("assay", deadline=None, print_blob=True)
settings.load_profile("assay")


@pytest.fixture(scope="session")
def nix(tmp_path_factory: pytest.TempPathFactory) -> RelocatedNix:
    """Return real Nix with a store of its own. Without Nix the tests fail: skipped, they would prove nothing."""
    if shutil.which("nix-store") is None or shutil.which("nix") is None:
        pytest.fail("Nix is not on PATH: these tests compare with the real one. On Debian: apt-get install nix-bin")
    return RelocatedNix(tmp_path_factory.mktemp("nix"))
