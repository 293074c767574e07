"""`tests/nixcache/test_nix_binary_cache.py` for every generation: its fixture `nix` is this directory's."""

from tests.nixcache.test_nix_binary_cache import *  # noqa: F403
