"""What has to be uploaded for some paths to become installable: their closure without what is published."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from hook.nix_store import PathInfo
    from nixcache.store_path import StorePath


@dataclass(frozen=True, slots=True)
class Plan:
    """``missing`` are to be uploaded; ``vanished`` should be, but are not in the local store."""

    missing: dict[StorePath, PathInfo]
    vanished: frozenset[StorePath]

    def order(self) -> dict[StorePath, set[StorePath]]:
        """Return each path that can be uploaded, with those among them that have to go before it."""
        possible = self.missing.keys() - self.blocked_by(self.vanished).keys()
        return {path: (possible & set(self.missing[path].references)) - {path} for path in possible}

    def blocked_by(self, failed: Collection[StorePath]) -> dict[StorePath, StorePath]:
        """Return every path that lacks one of ``failed`` in its closure, itself included, and which one that is."""
        blocked = {path: path for path in failed}
        graph = {path: set(info.references) - {path} for path, info in self.missing.items()}
        for path in TopologicalSorter(graph).static_order():
            for reference in graph.get(path, ()):
                if reference in blocked:
                    blocked.setdefault(path, blocked[reference])
        return blocked


def plan(
    roots: Iterable[StorePath],
    *,
    present: Callable[[set[StorePath]], set[StorePath]],
    infos: Callable[[Iterable[StorePath]], dict[StorePath, PathInfo]],
) -> Plan:
    """Walk down from ``roots``, and no further below a path that is ``present``.

    A published path's closure is published too (invariant I4, and every upstream's own promise), so what lies below it
    needs no question: the sweep costs what is missing, not what is installed.
    """
    missing: dict[StorePath, PathInfo] = {}
    vanished: set[StorePath] = set()
    seen: set[StorePath] = set()
    frontier = set(roots)
    while frontier:
        seen |= frontier
        absent = frontier - present(frontier)
        known = infos(sorted(absent))
        vanished |= absent - known.keys()
        missing |= known
        frontier = {reference for info in known.values() for reference in info.references} - seen
    return Plan(missing, frozenset(vanished))
