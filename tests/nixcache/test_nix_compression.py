"""Compression against the real client: whatever Assay accepts it installs, and the table of cases says the truth of it.

tests/differential asks more generations; here it is the one on PATH, whichever that is.
"""

from __future__ import annotations

import hashlib

import pytest

from nixcache import nix32
from nixcache.store_path import HashPart, StorePath
from tests.nixcache.claims import claim
from tests.nixcache.compression_cases import ALL, CASES, NAR, CompressionCase
from tests.nixcache.relocated_nix import RelocatedNix

ASKED = [case for case in CASES if not case.hangs]


def store_path(case: CompressionCase) -> StorePath:
    return StorePath(HashPart(nix32.encode(hashlib.sha256(str(case).encode()).digest()[:20])), "case")


@pytest.fixture(scope="module")
def installed(nix: RelocatedNix) -> set[StorePath]:
    """Return what Nix installs of all cases, asked for at once."""
    cache = nix.root / "cache-of-compression-cases"
    (cache / "nar").mkdir(parents=True)
    (cache / "nix-cache-info").write_text(f"StoreDir: {nix.store_dir.path}\n")
    for number, case in enumerate(ASKED):
        path, url = store_path(case), f"nar/{number}"
        (cache / url).write_bytes(case.file)
        narinfo = claim(NAR, file=case.file, compression=case.method, store_dir=nix.store_dir, store_path=path, url=url)
        (cache / f"{path.hash_part}.narinfo").write_bytes(narinfo.render())
    settings = {"substituters": f"file://{cache}", "require-sigs": "false", "fsync-metadata": "false", "max-jobs": "4"}
    options = [word for name, value in settings.items() for word in ("--option", name, value)]
    paths = [nix.store_dir.render(store_path(case)) for case in ASKED]
    nix.attempt("nix-store", "--realise", "--keep-going", *options, *paths)
    invalid = nix.line("nix-store", "--check-validity", "--print-invalid", *paths).split()
    return {store_path(case) for case in ASKED} - {nix.store_dir.parse(path) for path in invalid}


@pytest.fixture(scope="module")
def generation(nix: RelocatedNix) -> str:
    """Return the first two numbers of Nix's version."""
    return ".".join(nix.line("nix", "--version").split()[-1].split(".")[:2])


@pytest.mark.parametrize("case", ASKED, ids=str)
def test_the_real_client_installs_what_is_accepted(
    case: CompressionCase, installed: set[StorePath], generation: str
) -> None:
    taken = store_path(case) in installed
    assert taken or not case.accepted
    if generation in ALL:
        assert taken == (generation in case.installed_by)
