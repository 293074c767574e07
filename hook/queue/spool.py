"""Spool entries: what the hook wrote, read strictly, or set aside with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hook.errors import BuilderCode
from hook.post_build import SPOOL_HEADER
from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from nixcache.store_path import StoreDir, StorePath


@dataclass(frozen=True, slots=True)
class SpoolEntry:
    """The paths that one run of the hook queued; only their derivation where the hook could not tell them."""

    paths: tuple[StorePath, ...]
    drv_path: StorePath | None


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
