"""The trees that are measured, and the store paths that they mention.

Real outputs mention most of their references early and often, in every library; the scanner looks for them no longer
then. What costs is a reference that comes late: until then it is looked for in every byte. So of the eight here three
come in the first file, three in the middle and two in the very last; and the middle mentions a store path that nobody
declares.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from bench.contents import Pool
from nixcache import nix32
from nixcache.store_path import NIX_STORE, HashPart, StorePath

_IN_ONE_DIRECTORY: Final = 64


def store_path(name: str) -> StorePath:
    """Return a store path of this name, always the same."""
    return StorePath(HashPart(nix32.encode(hashlib.sha256(name.encode()).digest()[:20])), name)


REFERENCES: Final = tuple(sorted(store_path(f"reference-{number}") for number in range(8)))
_UNDECLARED: Final = store_path("undeclared")
_AT_THE_START: Final = REFERENCES[:3]
_IN_THE_MIDDLE: Final = (*REFERENCES[3:6], _UNDECLARED)
_AT_THE_END: Final = REFERENCES[6:]


def tree_of_size(directory: Path, pool: Pool, size: int) -> Path:
    """Make a tree of about ``size`` bytes at ``directory``."""
    return _tree(directory, _until(pool, size))


def tree_of_files(directory: Path, pool: Pool, files: int) -> Path:
    """Make a tree of ``files`` files, of which three have the mentions, or one if that is all, at ``directory``."""
    if files == 1:
        _wrapper(directory / "bin" / "start", (*REFERENCES, _UNDECLARED))
        return directory
    return _tree(directory, list(islice(pool.endlessly(), files - 3)))


def _until(pool: Pool, size: int) -> Sequence[Path]:
    chosen: list[Path] = []
    missing = size
    for path in pool.endlessly():
        if missing <= 0:
            break
        chosen.append(path)
        missing -= path.stat().st_size
    return chosen


def _tree(root: Path, files: Sequence[Path]) -> Path:
    directories = len(files) // _IN_ONE_DIRECTORY + 1
    _wrapper(root / "bin" / "start", _AT_THE_START)
    _wrapper(root / "lib" / f"{directories // 2:04}" / "middle", _IN_THE_MIDDLE)
    for number, file in enumerate(files):
        directory = root / "lib" / f"{number // _IN_ONE_DIRECTORY:04}"
        directory.mkdir(parents=True, exist_ok=True)
        # A link, because a tree of 2 GB then costs no more of the disk than its first 500 MB.
        os.link(file, directory / f"{number % _IN_ONE_DIRECTORY:02}-{file.name}")
    _wrapper(root / "share" / "end", _AT_THE_END)
    return root


def _wrapper(path: Path, references: Iterable[StorePath]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"export PATH={NIX_STORE.render(reference)}/bin:$PATH\n" for reference in references]
    path.write_text("".join(["#!/bin/sh\n", *lines]))
    path.chmod(0o755)
