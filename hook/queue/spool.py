"""The spool: what the hook wrote, read strictly, or set aside with a reason."""

from __future__ import annotations

import heapq
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hook.errors import BuilderCode
from hook.post_build import SPOOL_HEADER, SPOOL_NEW, SPOOL_TMP
from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nixcache.store_path import StoreDir, StorePath


@dataclass(frozen=True, slots=True)
class SpoolEntry:
    """The paths that one run of the hook queued; only their derivation where the hook could not tell them."""

    paths: tuple[StorePath, ...]
    drv_path: StorePath | None


class Spool:
    """The spool below ``state_dir``. Hooks write to it at any moment; only the queue's owner takes away."""

    def __init__(self, state_dir: Path, store_dir: StoreDir) -> None:
        self._store_dir = store_dir
        self._new = state_dir / SPOOL_NEW
        self._tmp = state_dir / SPOOL_TMP

    def file(self, name: str) -> Path:
        """Return where the entry ``name`` is."""
        return self._new / name

    def names(self) -> Iterator[str]:
        """Yield the names of all entries, in no order; raises OSError."""
        try:
            with os.scandir(self._new) as files:
                for file in files:
                    yield file.name
        except FileNotFoundError:
            return

    def oldest(self, limit: int) -> list[str]:
        """Return the names of the first entries in the order of time, which is that of names; raises OSError."""
        return heapq.nsmallest(limit, self.names())

    def newest(self, limit: int) -> list[str]:
        """Return the names of the last entries, the newest first; raises OSError."""
        return heapq.nlargest(limit, self.names())

    def is_empty(self) -> bool:
        """Whether no hook has written anything that was not taken in."""
        return next(self.names(), None) is None

    def read(self, name: str) -> tuple[SpoolEntry, float]:
        """Return an entry, and when it was written in seconds since the epoch; raises PermanentError and OSError."""
        with self.file(name).open("rb") as file:
            return parse(file.read(), self._store_dir), os.fstat(file.fileno()).st_mtime

    def readable(self, names: Iterator[str] | list[str]) -> Iterator[tuple[SpoolEntry, float]]:
        """Yield those of ``names`` that are there and can be read."""
        for name in names:
            with suppress(PermanentError, OSError):
                yield self.read(name)

    def clear_up(self, before: float) -> None:
        """Delete what hooks that were killed ``before`` had begun to write; raises OSError."""
        with suppress(FileNotFoundError), os.scandir(self._tmp) as files:
            for file in files:
                with suppress(FileNotFoundError):
                    if file.stat().st_mtime < before:
                        os.unlink(file.path)  # noqa: PTH108 - the path is a text already


def parse(data: bytes, store_dir: StoreDir) -> SpoolEntry:
    """Read a spool entry; raises :class:`PermanentError` (``queue-entry-malformed``)."""
    header, *lines = data.decode("ascii", errors="replace").split("\n")
    if header != SPOOL_HEADER or lines[-2:] != ["end", ""]:
        raise _malformed("it is not a whole spool entry")
    paths: list[StorePath] = []
    drv_path = None
    for line in lines[:-2]:
        kind, _, full_path = line.partition(" ")
        try:
            path = store_dir.parse(full_path)
        except PermanentError as error:
            raise _malformed(error.problem) from error
        if kind == "path":
            paths.append(path)
        elif kind == "drv" and drv_path is None:
            drv_path = path
        else:
            raise _malformed(f"{line[:80]!r} is no line of a spool entry")
    if not paths and not drv_path:
        raise _malformed("it names nothing")
    return SpoolEntry(tuple(paths), drv_path)


def _malformed(problem: str) -> PermanentError:
    return PermanentError(
        BuilderCode.QUEUE_ENTRY_MALFORMED,
        f"A spool entry was set aside: {problem.rstrip('.')}.",
        remedy="Push the paths in it again with `assay push`, then delete it.",
    )
