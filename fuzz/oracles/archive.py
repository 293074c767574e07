"""The NAR format read a string at a time, recursively, from memory; and written again from what was read.

From the grammar (src/libutil/archive.cc) and nothing of :mod:`nixcache.nar` but its event types: slow, whole input
only, no offsets of faults, and short enough to be seen to be right.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from nixcache.nar import DirectoryEnd, DirectoryStart, Event, RegularFile, Symlink

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_DEPTH = 64
_MAX_NAME = 255
_MAX_TARGET = 4095
_MAX_FILE = 2**63 - 1


def read(nar: bytes) -> list[Event] | None:
    """Return the events of ``nar``, or None if it is no NAR."""
    reader = _Reader(nar)
    try:
        reader.expect(b"nix-archive-1")
        reader.node(b"", level=1)
    except ValueError:
        return None
    return reader.events if reader.position == len(nar) else None


def write(events: Iterable[Event], nar: bytes) -> bytes:
    """Return the NAR that has these events, the contents of its files taken from ``nar``."""
    words = [b"nix-archive-1"]
    open_directories = 0
    for event in events:
        if isinstance(event, DirectoryEnd):
            open_directories -= 1
            words.append(b")")
        else:
            if open_directories:
                words += [b"entry", b"(", b"name", event.name, b"node"]
            words += [b"(", b"type"]
            match event:
                case RegularFile():
                    words += [b"regular", *([b"executable", b""] if event.executable else []), b"contents"]
                    words += [nar[event.offset : event.offset + event.size], b")"]
                case Symlink():
                    words += [b"symlink", b"target", event.target, b")"]
                case DirectoryStart():
                    open_directories += 1
                    words.append(b"directory")
                    continue
        if open_directories:
            words.append(b")")
    return encode(words)


def encode(words: Iterable[bytes]) -> bytes:
    """Return ``words`` as a NAR has them: length, bytes, zeros up to a multiple of eight."""
    return b"".join(struct.pack("<Q", len(word)) + word + bytes(-len(word) % 8) for word in words)


class _Reader:
    def __init__(self, nar: bytes) -> None:
        self._nar = nar
        self.position = 0
        self.events: list[Event] = []

    def _take(self, size: int) -> bytes:
        taken = self._nar[self.position : self.position + size]
        if len(taken) < size:
            raise ValueError("too short")
        self.position += size
        return taken

    def word(self, most: int) -> bytes:
        length = int.from_bytes(self._take(8), "little")
        if length > most:
            raise ValueError("too long")
        word = self._take(length)
        if any(self._take(-length % 8)):
            raise ValueError("padding")
        return word

    def expect(self, *words: bytes) -> None:
        for word in words:
            if self.word(len(word)) != word:
                raise ValueError("another word")

    def node(self, name: bytes, *, level: int) -> None:
        if level > _MAX_DEPTH:
            raise ValueError("too deep")
        self.expect(b"(", b"type")
        match self.word(9):
            case b"regular":
                self._regular(name)
            case b"symlink":
                self.expect(b"target")
                target = self.word(_MAX_TARGET)
                if not target or b"\0" in target:
                    raise ValueError("target")
                self.events.append(Symlink(name, target))
                self.expect(b")")
            case b"directory":
                self.events.append(DirectoryStart(name))
                self._entries(level)
                self.events.append(DirectoryEnd())
            case _:
                raise ValueError("type")

    def _regular(self, name: bytes) -> None:
        word = self.word(10)
        executable = word == b"executable"
        if executable:
            self.expect(b"")
            word = self.word(8)
        if word != b"contents":
            raise ValueError("no contents")
        offset = self.position + 8
        size = len(self.word(_MAX_FILE))
        self.events.append(RegularFile(name, executable, size, offset))
        self.expect(b")")

    def _entries(self, level: int) -> None:
        last = b""
        while (word := self.word(5)) != b")":
            if word != b"entry":
                raise ValueError("neither an entry nor the end")
            self.expect(b"(", b"name")
            name = self.word(_MAX_NAME)
            if name <= last or name in {b".", b".."} or b"/" in name or b"\0" in name:
                raise ValueError("name")
            self.expect(b"node")
            self.node(name, level=level + 1)
            self.expect(b")")
            last = name
