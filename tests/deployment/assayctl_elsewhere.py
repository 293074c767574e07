"""``assayctl`` for a cache of another store dir, which is its first argument.

A test's Nix has its store where it may write; those that Assay is for have theirs in /nix/store.
"""

from __future__ import annotations

import sys

from nixcache import store_path

if __name__ == "__main__":
    store_path.NIX_STORE = store_path.StoreDir(sys.argv.pop(1))
    # Only now: its modules take the name from there.
    from assayctl.cli import main

    sys.exit(main())
