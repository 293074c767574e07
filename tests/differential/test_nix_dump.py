"""`tests/nixcache/test_nix_dump.py` for every generation: its fixture `nix` is this directory's."""

from tests.nixcache.test_nix_dump import *  # noqa: F403
