"""Store paths as people name them on the command line, where the whole path has to be known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hook.errors import BuilderCode
from hook.subject import subject
from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from nixcache.store_path import StoreDir, StorePath

HELP: Final = "a store path, a symlink to one such as ./result, a base name, or a hash part"


def store_path(text: str, store_dir: StoreDir) -> StorePath:
    """Return the store path that ``text`` names (:func:`hook.subject.subject`).

    Raises PermanentError, also for a hash part that nothing in the store begins with.
    """
    path = subject(text, store_dir).path
    if path is None:
        raise PermanentError(
            BuilderCode.CONFIG_INVALID,
            f"Nothing in {store_dir.path} begins with {text}.",
            remedy="Name the whole path or base name.",
        )
    return path
