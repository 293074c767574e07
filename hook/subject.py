"""Store paths as people name them on the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hook.errors import BuilderCode
from nixcache.errors import PermanentError
from nixcache.store_path import HASH_PART_LENGTH, StorePath, parse_hash_part

if TYPE_CHECKING:
    from nixcache.store_path import HashPart, StoreDir

_MOST_LINKS: Final = 40
"""Symlinks that are followed one after another, as many as Linux follows."""
_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about; ``path`` is None where only the hash part is known, and nobody here knows the name."""

    hash_part: HashPart
    path: StorePath | None


def subject(text: str, store_dir: StoreDir) -> Subject:
    """Return what ``text`` names: a store path, something inside one, a symlink to one, a base name, a hash part.

    Raises :class:`PermanentError` (``config-invalid``, ``store-path-malformed``).
    """
    resolved = _in_store(text, store_dir)
    if resolved is not None:
        base_name = resolved.removeprefix(f"{store_dir.path}/").partition("/")[0]
        path = store_dir.parse(f"{store_dir.path}/{base_name}")
        return Subject(path.hash_part, path)
    try:
        if len(text) == HASH_PART_LENGTH:
            return _of_hash_part(parse_hash_part(text), store_dir)
        path = StorePath.from_base_name(text)
    except PermanentError:
        problem = f"is not in the store {store_dir.path}" if os.path.lexists(text) else "is not there: no such file"
        raise PermanentError(
            BuilderCode.CONFIG_INVALID,
            f"{text[:_SHOWN] or 'An empty name'} {problem}.",
            remedy="Name a store path, a symlink to one such as ./result, a base name or a hash part.",
        ) from None
    return Subject(path.hash_part, path)


def _in_store(text: str, store_dir: StoreDir) -> str | None:
    """Follow symlinks to the store, and no further (src/libstore/store-dir-config.cc, followLinksToStore).

    A store object may be a symlink itself; that one is meant, and not what it points to.
    """
    if text.startswith(f"{store_dir.path}/"):
        return text
    path = Path(text)
    for _ in range(_MOST_LINKS):
        parent = Path(os.path.realpath(path.parent))
        path = parent / path.name
        if str(path).startswith(f"{store_dir.path}/"):
            return str(path)
        try:
            path = parent / path.readlink()
        except OSError:
            return None
    return None


def _of_hash_part(hash_part: HashPart, store_dir: StoreDir) -> Subject:
    try:
        with os.scandir(store_dir.path) as files:
            # Beside a path, Nix keeps `.lock`, `.chroot` and the like: only a base name of the store can be it.
            names = (file.name for file in files if file.name.startswith(f"{hash_part}-"))
            path = next((StorePath.from_base_name(name) for name in sorted(names, key=len)), None)
    except (OSError, PermanentError):
        path = None
    return Subject(hash_part, path)
