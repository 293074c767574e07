"""Trees, and the tiny reference writer that turns them into a NAR and the events to expect of it.

Written from the format's grammar and from nothing in nixcache.nar, so that parser and writer are judged by a third.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nixcache.nar import DirectoryEnd, DirectoryStart, Event, RegularFile, Symlink


@dataclass(frozen=True)
class File:
    """A regular file."""

    contents: bytes = b""
    executable: bool = False


@dataclass(frozen=True)
class Link:
    """A symlink."""

    target: bytes


@dataclass(frozen=True)
class Tree:
    """A directory."""

    entries: Mapping[bytes, Node] = field(default_factory=dict)


Node = File | Link | Tree


def words(node: Node) -> Iterator[bytes]:
    """Yield the strings of ``node``'s NAR, in order, after the magic."""
    yield b"("
    yield b"type"
    match node:
        case File(contents=contents, executable=executable):
            yield b"regular"
            if executable:
                yield b"executable"
                yield b""
            yield b"contents"
            yield contents
        case Link(target=target):
            yield b"symlink"
            yield b"target"
            yield target
        case Tree(entries=entries):
            yield b"directory"
            for name in sorted(entries):
                yield from (b"entry", b"(", b"name", name, b"node")
                yield from words(entries[name])
                yield b")"
    yield b")"


MAGIC = b"nix-archive-1"


def encode(strings: Iterable[bytes]) -> bytes:
    """Return ``strings`` as a NAR has them: length, bytes, zeros up to a multiple of eight."""
    return b"".join(struct.pack("<Q", len(text)) + text + b"\0" * (-len(text) % 8) for text in strings)


def nar(node: Node) -> bytes:
    """Return the NAR of ``node``."""
    return encode((MAGIC, *words(node)))


def events(node: Node) -> list[Event]:
    """Return the events to expect of ``node``'s NAR."""
    found: list[Event] = []
    _events(node, b"", len(encode([MAGIC])), found)
    return found


def _events(node: Node, name: bytes, start: int, found: list[Event]) -> None:
    match node:
        case File(contents=contents, executable=executable):
            opening = (b"(", b"type", b"regular", *((b"executable", b"") if executable else ()), b"contents")
            found.append(RegularFile(name, executable, len(contents), start + len(encode(opening)) + 8))
        case Link(target=target):
            found.append(Symlink(name, target))
        case Tree(entries=entries):
            found.append(DirectoryStart(name))
            start += len(encode((b"(", b"type", b"directory")))
            for entry in sorted(entries):
                opening = (b"entry", b"(", b"name", entry, b"node")
                _events(entries[entry], entry, start + len(encode(opening)), found)
                start += len(encode((*opening, *words(entries[entry]), b")")))
            found.append(DirectoryEnd())


def files(node: Node) -> Iterator[bytes]:
    """Yield the contents of ``node``'s regular files, in the order of its NAR."""
    match node:
        case File(contents=contents):
            yield contents
        case Tree(entries=entries):
            for name in sorted(entries):
                yield from files(entries[name])


def nested(depth: int, leaf: Node | None = None) -> Node:
    """Return a tree of ``depth`` levels, the leaf being the last."""
    node: Node = leaf or File()
    for _ in range(depth - 1):
        node = Tree({b"d": node})
    return node


def write_tree(node: Node, path: Path) -> Path:
    """Put ``node`` onto the disk, and return where."""
    match node:
        case File(contents=contents, executable=executable):
            path.write_bytes(contents)
            path.chmod(0o755 if executable else 0o644)
        case Link(target=target):
            path.symlink_to(_text(target))
        case Tree(entries=entries):
            path.mkdir()
            for name, entry in entries.items():
                write_tree(entry, path / _text(name))
    return path


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
