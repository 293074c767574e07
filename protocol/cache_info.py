"""``nix-cache-info``: what a client reads of a cache before anything else, and keeps for seven days."""

from __future__ import annotations

from typing import Final

from nixcache.store_path import StoreDir

PRIORITY: Final = 41
"""Clients ask the lowest number first; cache.nixos.org has 40, and most paths of a closure are there."""
CACHE_INFO_TYPE: Final = "text/x-nix-cache-info"


def cache_info(store_dir: StoreDir) -> bytes:
    """Return the file for a cache of ``store_dir`` that answers for many paths at once (src/libstore/store-api.cc)."""
    return f"StoreDir: {store_dir.path}\nWantMassQuery: 1\nPriority: {PRIORITY}\n".encode()
