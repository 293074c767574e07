"""NAR listings: the ``.ls`` file, version 1, for looking into a NAR without fetching it.

Source: src/libstore/nar-accessor.cc, listNar.
"""

from __future__ import annotations

import json

from nixcache.nar import Contents, DirectoryEnd, DirectoryStart, Event, RegularFile, Symlink

MAX_LISTING_SIZE = 32 * 1024 * 1024
"""Bytes. A listing is a convenience: a NAR with more entries than fit is published without one."""


class ListingBuilder:
    """Writes the listing while the NAR's events pass, so that no tree is ever held."""

    def __init__(self) -> None:
        """Start before the root."""
        self._json = bytearray(b'{"root":')
        self._first = True  # nothing has been written into the innermost directory yet
        self._possible = True

    def add(self, event: Event) -> None:
        """Write one event; keys come in alphabetical order, as Nix's own writer puts them."""
        if not self._possible or isinstance(event, Contents):
            return
        try:
            self._write(event)
        except UnicodeDecodeError:
            # A NAR's names are bytes, JSON's are text: there is no true listing of such a NAR, and Nix writes none.
            self._give_up()
        if len(self._json) > MAX_LISTING_SIZE:
            self._give_up()

    def finish(self) -> bytes | None:
        """Return the listing, or None where there can be none (names that are no UTF-8, too many entries)."""
        return bytes(self._json) + b',"version":1}' if self._possible else None

    def _write(self, event: RegularFile | Symlink | DirectoryStart | DirectoryEnd) -> None:
        if isinstance(event, DirectoryEnd):
            self._json += b'},"type":"directory"}'
            self._first = False
            return
        if event.name:
            self._json += (b"" if self._first else b",") + _text(event.name) + b":"
        self._first = False
        match event:
            case RegularFile(executable=executable, size=size, offset=offset):
                flag = b'"executable":true,' if executable else b""
                self._json += b'{%b"narOffset":%d,"size":%d,"type":"regular"}' % (flag, offset, size)
            case Symlink(target=target):
                self._json += b'{"target":%b,"type":"symlink"}' % _text(target)
            case DirectoryStart():
                self._json += b'{"entries":{'
                self._first = True

    def _give_up(self) -> None:
        self._possible = False
        self._json.clear()


def _text(name: bytes) -> bytes:
    return json.dumps(name.decode(), ensure_ascii=False).encode()
