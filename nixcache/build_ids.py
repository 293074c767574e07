"""Debug-info build ids: whose separate debug files a NAR holds.

Source: src/libstore/binary-cache-store.cc, index-debug-info.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixcache.nar import DirectoryEnd, DirectoryStart, RegularFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nixcache.nar import Event

MAX_BUILD_IDS = 4096
"""The first of them, in the NAR's order, are listed: memory is bounded, and real outputs have a few dozen."""

_DIRECTORY = [b"", b"lib", b"debug", b".build-id"]
_FIRST = re.compile(rb"[0-9a-f]{2}")
_REST = re.compile(rb"([0-9a-f]{38})\.debug")


class BuildIdCollector:
    """Collects the ids of files called ``lib/debug/.build-id/<2 hex digits>/<38 hex digits>.debug``."""

    def __init__(self) -> None:
        """Start before the root."""
        self._path: list[bytes] = []
        self._first: bytes | None = None  # the id's first two digits, while inside their directory
        self._ids: list[str] = []

    def feed(self, events: Iterable[Event]) -> None:
        """Look at the next events."""
        for event in events:
            if type(event) is RegularFile:
                if self._first is not None and (rest := _REST.fullmatch(event.name)):
                    self._add(self._first + rest[1])
            elif type(event) is DirectoryStart:
                self._path.append(event.name)
                self._look_where()
            elif type(event) is DirectoryEnd:
                self._path.pop()
                self._look_where()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids so far, 40 hex digits each."""
        return tuple(self._ids)

    def _look_where(self) -> None:
        inside = self._path[:-1] == _DIRECTORY and _FIRST.fullmatch(self._path[-1])
        self._first = self._path[-1] if inside else None

    def _add(self, build_id: bytes) -> None:
        if len(self._ids) < MAX_BUILD_IDS:
            self._ids.append(build_id.decode("ascii"))
