"""NAR listings: the ``.ls`` file, version 1, for looking into a NAR without fetching it.

Source: src/libstore/nar-accessor.cc, listNar.
"""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import TYPE_CHECKING

from nixcache.nar import DirectoryEnd, RegularFile, Symlink

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nixcache.nar import Event

MAX_LISTING_SIZE = 32 * 1024 * 1024
"""Bytes. A listing is a convenience: a NAR with more entries than fit is published without one."""


class ListingBuilder:
    """Writes the listing while the NAR's events pass, so that no tree is ever held."""

    def __init__(self) -> None:
        """Start before the root."""
        self._json = bytearray(b'{"root":')
        self._first = True  # nothing has been written into the innermost directory yet
        self._possible = True

    def feed(self, events: Iterable[Event]) -> None:
        """Write the next events; keys come in alphabetical order, as Nix's own writer puts them."""
        if not self._possible:
            return
        try:
            self._json += self._render(events).encode()
        except UnicodeDecodeError:
            # A NAR's names are bytes, JSON's are text: there is no true listing of such a NAR, and Nix writes none.
            self._give_up()
        if len(self._json) > MAX_LISTING_SIZE:
            self._give_up()

    def finish(self) -> bytes | None:
        """Return the listing, or None where there can be none (names that are no UTF-8, too many entries)."""
        return bytes(self._json) + b',"version":1}' if self._possible else None

    def _render(self, events: Iterable[Event]) -> str:
        parts = []
        first = self._first
        for event in events:
            if isinstance(event, DirectoryEnd):
                parts.append('},"type":"directory"}')
                first = False
                continue
            name = event.name
            separator = "" if first else ","
            key = f"{separator}{encode_basestring(name.decode())}:" if name else ""
            first = False
            if isinstance(event, RegularFile):
                flag = '"executable":true,' if event.executable else ""
                parts.append(f'{key}{{{flag}"narOffset":{event.offset},"size":{event.size},"type":"regular"}}')
            elif isinstance(event, Symlink):
                parts.append(f'{key}{{"target":{encode_basestring(event.target.decode())},"type":"symlink"}}')
            else:
                parts.append(f'{key}{{"entries":{{')
                first = True
        self._first = first
        return "".join(parts)

    def _give_up(self) -> None:
        self._possible = False
        self._json.clear()
