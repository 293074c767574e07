"""`tests/nixcache/test_nix_store_paths.py` for every generation: its fixture `nix` is this directory's."""

from tests.nixcache.test_nix_store_paths import *  # noqa: F403
