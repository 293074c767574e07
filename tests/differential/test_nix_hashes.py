"""`tests/nixcache/test_nix_hashes.py` for every generation: its fixture `nix` is this directory's."""

from tests.nixcache.test_nix_hashes import *  # noqa: F403
