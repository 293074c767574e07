"""Whether a path is in the closure of others, as far as a bounded number of look-ups shows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import Final

from lambdas.ingest.lookup import LOOK_UPS_AT_ONCE, Lookup, at_once
from nixcache.store_path import HashPart, StorePath

MAX_LOOK_UPS: Final = 256
"""Narinfos that one submission makes ingest read, whatever its NAR mentions: a second's work, ten at worst.

Remembered ones count like others, or the verdict would depend on what else the container has seen (I6)."""
REMEMBERED_PATHS: Final = 65_536
"""Store paths that are remembered: each that was looked up, and each reference of it; memory is bounded (I7)."""


class Closure:
    """Walks down from a path to its references. What a narinfo says once, it says for ever, so it is remembered."""

    def __init__(self, lookup: Lookup) -> None:
        """Ask ``lookup``."""
        self._lookup = lookup
        self._remembered: OrderedDict[StorePath, tuple[StorePath, ...]] = OrderedDict()
        self._remembered_paths = 0

    def holds(
        self, wanted: Collection[HashPart], roots: Sequence[StorePath], *, pulse: Callable[[], None]
    ) -> frozenset[HashPart]:
        """Return those of ``wanted`` that are below ``roots``, nearest first, within :data:`MAX_LOOK_UPS` narinfos.

        Without ``wanted`` nothing is looked up, and nothing more when all are found. ``pulse`` is called before each
        few look-ups; it may raise, for whoever has only so much time. Raises :class:`TransientError`.
        """
        missing = set(wanted)
        queue = list(roots[:MAX_LOOK_UPS])
        queued = set(queue)
        done = 0
        while missing and done < len(queue):
            pulse()
            batch = queue[done : done + LOOK_UPS_AT_ONCE]
            done += len(batch)
            for references in self._references(batch):
                missing.difference_update(path.hash_part for path in references)
                for path in references:
                    # What is behind the limit would never be looked up: a million need not be kept (I7).
                    if len(queue) < MAX_LOOK_UPS and path not in queued:
                        queued.add(path)
                        queue.append(path)
        return frozenset(wanted) - missing

    def _references(self, paths: Sequence[StorePath]) -> list[tuple[StorePath, ...]]:
        unknown = [path for path in paths if path not in self._remembered]
        found = dict(zip(unknown, at_once(self._look_up, unknown), strict=True)) if unknown else {}
        answers = [self._remembered.get(path) or found.get(path) or () for path in paths]
        for path, references in found.items():
            if references is not None:
                self._remember(path, references)
        return answers

    def _look_up(self, path: StorePath) -> tuple[StorePath, ...] | None:
        # What an upstream lacks of its own closure, or has under another name, is the upstream's affair.
        return self._lookup.find(path).references

    def _remember(self, path: StorePath, references: tuple[StorePath, ...]) -> None:
        self._remembered[path] = references
        self._remembered_paths += 1 + len(references)
        while self._remembered_paths > REMEMBERED_PATHS:
            _, forgotten = self._remembered.popitem(last=False)
            self._remembered_paths -= 1 + len(forgotten)
