"""`tests/nixcache/test_nix_restore.py` for every generation: its fixture `nix` is this directory's."""

from tests.nixcache.test_nix_restore import *  # noqa: F403
