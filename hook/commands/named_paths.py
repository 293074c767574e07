"""Store paths as people name them on the command line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hook.errors import BuilderCode
from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from nixcache.store_path import StoreDir, StorePath


def store_path(text: str, store_dir: StoreDir) -> StorePath:
    """Return the store path that ``text`` is, points to, or lies in; raises PermanentError (``config-invalid``)."""
    resolved = text if text.startswith(f"{store_dir.path}/") else os.path.realpath(text)
    if not resolved.startswith(f"{store_dir.path}/"):
        raise PermanentError(
            BuilderCode.CONFIG_INVALID,
            f"{text} is not in the store {store_dir.path}.",
            remedy="Name store paths, or symlinks to them such as ./result.",
        )
    base_name = resolved.removeprefix(f"{store_dir.path}/").partition("/")[0]
    return store_dir.parse(f"{store_dir.path}/{base_name}")
