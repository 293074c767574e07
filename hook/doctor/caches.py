"""Checks of the cache and the upstreams: that a Nix cache answers, of our store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hook.doctor.check import Check, fail, ok, warn
from hook.lookup import NarInfoLookup
from hook.redaction import without_password
from protocol.keys import NIX_CACHE_INFO_KEY

if TYPE_CHECKING:
    from nixcache.store_path import StoreDir

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0


def cache(name: str, url: str, store_dir: StoreDir) -> list[Check]:
    """Whether ``url`` is a Nix cache of ``store_dir``."""
    lookup = NarInfoLookup(url, (), store_dir, connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS, retries=0)
    with lookup:
        body = lookup.get(url, NIX_CACHE_INFO_KEY)
    shown = without_password(url)
    if body is None:
        return [
            warn(
                name,
                f"{shown} answers, but has no {NIX_CACHE_INFO_KEY}.",
                "Check the URL; Assay writes that file with the first publication.",
            )
        ]
    lines = body.decode(errors="replace").splitlines()
    theirs = next((line.partition(":")[2].strip() for line in lines if line.startswith("StoreDir:")), None)
    if theirs is None:
        return [
            fail(
                name,
                f"{shown}/{NIX_CACHE_INFO_KEY} is no such file: something else answers.",
                "Check the URL, and whether a portal or a sign-in page answers in its place.",
            )
        ]
    if theirs != store_dir.path:
        return [
            fail(
                name,
                f"{shown} is a cache of the store {theirs[:200]}, this machine's is {store_dir.path}.",
                "Name a cache of this store, or correct NIX_STORE_DIR.",
            )
        ]
    return [ok(name, f"{shown} answers, for the store {theirs}")]
