"""Store objects that are made once and submitted in thousands of runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nixcache.compression import Compression
from nixcache.nar import dump
from tests.ingest.store_objects import Builder, StoreObject, pack, store_path


class Objects:
    """Builds below ``root``; the same arguments give the same object."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._builder = Builder(root)
        self._built: dict[tuple[object, ...], StoreObject] = {}

    def build(self, name: str, references: Sequence[StoreObject] = (), *, text: str = "") -> StoreObject:
        """Return ``name``, which mentions ``references``; another ``text`` makes other bytes of the same path."""
        key = (name, tuple(reference.path for reference in references), text)
        if key not in self._built:
            self._built[key] = self._builder.build(name, references, text=text)
        return self._built[key]

    def itself(self, name: str) -> StoreObject:
        """Return ``name``, which mentions itself."""
        return self._builder.build(name, itself=True)

    def unlistable(self, name: str) -> StoreObject:
        """Return ``name``, whose NAR no listing can describe: file names in it are bytes and no UTF-8."""
        if (name,) not in self._built:
            directory = self._root / f"unlistable-{name}"
            directory.mkdir()
            Path(os.fsdecode(bytes(directory) + b"/\xff")).touch()
            self._built[(name,)] = pack(store_path(name), b"".join(dump(directory)), (), Compression.ZSTD)
        return self._built[(name,)]
