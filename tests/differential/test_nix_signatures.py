"""`tests/nixcache/test_nix_signatures.py` for every generation: its fixture `nix` is this directory's."""

from tests.nixcache.test_nix_signatures import *  # noqa: F403
