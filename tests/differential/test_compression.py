"""Compressed NARs against each generation's substituter: who installs what is written beside each case."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from nixcache import nix32
from nixcache.errors import Code
from nixcache.store_path import HashPart, StorePath
from nixcache.verify import verify
from tests.differential.cache import Cache
from tests.differential.clients import Client
from tests.differential.signer import KEY, signature
from tests.nixcache.claims import claim
from tests.nixcache.compression_cases import CASES, NAR, CompressionCase
from tests.nixcache.outcomes import Failure, outcome


@pytest.mark.parametrize("case", CASES, ids=str)
def test_compressed_nars(clients: list[Client], case: CompressionCase, tmp_path: Path) -> None:
    """Exactly who installs what is written down; what ours accepts, it publishes so that all of them install it."""
    hash_part = HashPart(nix32.encode(hashlib.sha256(str(case).encode()).digest()[:20]))
    path = StorePath(hash_part, "compressed")
    submitted = claim(
        NAR, file=case.file, compression=case.method, store_dir=clients[0].store_dir, store_path=path, url="nar/file"
    )
    submitted = replace(submitted, signatures=(signature(submitted),))
    cache = Cache(tmp_path / "submitted", submitted.store_dir)
    cache.put(submitted, case.file)
    patience = 5 if case.hangs else 60
    installing = [
        client.generation
        for client in clients
        if client.install(cache.directory, KEY.public_key, path, store="submitted", patience=patience)
    ]
    assert installing == list(case.installed_by)
    verified = outcome(lambda: verify(submitted, [case.file]))
    if isinstance(verified, Failure):
        # Some files are far larger than their NAR: no codec minds, but Assay reads no more than a NAR may need.
        assert not case.accepted or verified.code == Code.TOO_LARGE
        return
    assert case.accepted
    public = Cache(tmp_path / "published", submitted.store_dir)
    public.put(verified.narinfo((KEY.sign(verified),)), case.file)
    for client in clients:
        assert client.install(public.directory, KEY.public_key, path)
        assert client.dump(path) == NAR
