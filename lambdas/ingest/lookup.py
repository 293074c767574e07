"""Where a store path is: published here, or in a trusted upstream; and how many are asked for at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from lambdas.ingest.ports import Cache, Upstreams
from nixcache.store_path import StorePath

T = TypeVar("T")

LOOK_UPS_AT_ONCE: Final = 16
"""Look-ups in flight. A narinfo may hold 10,000 references: one after the other, they would outlast the function."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a path: its ``references`` where it is present, its own among them; None where it is nowhere.

    ``taken_by`` is then what is published here under its hash part, if anything is.
    """

    references: tuple[StorePath, ...] | None
    taken_by: StorePath | None = None


class Lookup:
    """Asks for one path. It remembers nothing: an absence may end any time, and who asks knows what may be kept."""

    def __init__(self, cache: Cache, upstreams: Upstreams) -> None:
        """Look into ``cache`` first, then into ``upstreams``."""
        self._cache = cache
        self._upstreams = upstreams

    def find(self, path: StorePath) -> Answer:
        """Look ``path`` up; raises :class:`TransientError` where nobody can say."""
        published = self._cache.find(path.hash_part)
        # The name counts as well: a client refuses a narinfo whose StorePath is not the one that it asked for.
        if published is not None and published.narinfo.store_path == path:
            return Answer(published.narinfo.references)
        upstream = self._upstreams.find(path)
        if upstream is not None:
            return Answer(upstream.narinfo.references)
        return Answer(None, taken_by=published.narinfo.store_path if published else None)


def at_once(ask: Callable[[StorePath], T], paths: Sequence[StorePath]) -> list[T]:
    """Return what ``ask`` says of each of ``paths``, in their order, :data:`LOOK_UPS_AT_ONCE` asked at once."""
    if len(paths) == 1:
        return [ask(paths[0])]
    with ThreadPoolExecutor(min(LOOK_UPS_AT_ONCE, len(paths))) as pool:
        return list(pool.map(ask, paths))
