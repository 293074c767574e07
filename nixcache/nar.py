"""The NAR format (src/libutil/archive.cc): a push parser without I/O, and the writer.

The parser accepts what the newest Nix restores and every older one can install; where generations differ the
strictest wins, and a byte after the archive's end is always refused. Bytes go in by :meth:`NarParser.feed`, typed
events come out, and cutting the same bytes elsewhere changes neither the events nor the error. Contents of files are
no events: they are the NAR's own bytes, and :class:`RegularFile` says which.
"""

from __future__ import annotations

import os
import stat
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from nixcache.errors import Code, PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MAX_NAME_LENGTH = 255
"""Bytes in the name of a directory entry."""
MAX_TARGET_LENGTH = 4095
"""Bytes in the target of a symlink."""
MAX_DEPTH = 64
"""Levels of nodes, the root being the first: Nix refuses the node below the 64th."""
MAX_SIZE = 2**63 - 1
"""Bytes in a regular file: what an ``off_t`` holds."""

_LENGTH = Struct("<Q")


def _string(text: bytes) -> bytes:
    """Return ``text`` as a NAR string: its length, its bytes, zeros up to a multiple of eight."""
    return _LENGTH.pack(len(text)) + text + bytes(-len(text) % 8)


def _run(*words: bytes) -> bytes:
    return b"".join(map(_string, words))


# Whole runs of fixed strings are compared at once: that is what makes a parser in Python keep up with the hash.
_OPEN_ARCHIVE: Final = _run(b"nix-archive-1", b"(", b"type")
_PLAIN_FILE: Final = _run(b"regular", b"contents")
_EXECUTABLE_FILE: Final = _run(b"regular", b"executable", b"", b"contents")
_SYMLINK: Final = _run(b"symlink", b"target")
_DIRECTORY: Final = _run(b"directory")
_ENTRY: Final = _run(b"entry", b"(", b"name")
_CLOSE: Final = _run(b")")
# After a name: its padding, then the node that the entry holds.
_OPEN_NESTED: Final = tuple(bytes(padding) + _run(b"node", b"(", b"type") for padding in range(8))
_OPEN_NESTED_PLAIN: Final = tuple(nested + _PLAIN_FILE for nested in _OPEN_NESTED)
_OPEN_NESTED_EXECUTABLE: Final = tuple(nested + _EXECUTABLE_FILE for nested in _OPEN_NESTED)
# After contents or a target: their padding, the end of the node and, below the root, the end of the entry.
_ENDS: Final = tuple(tuple(bytes(padding) + close for padding in range(8)) for close in (_CLOSE, _CLOSE + _CLOSE))
_NODE_KINDS: Final = (_PLAIN_FILE, _EXECUTABLE_FILE, _SYMLINK, _DIRECTORY)
_DIRECTORY_PARTS: Final = (_ENTRY, _CLOSE)
_NESTED_ENDS: Final = _ENDS[True]
_HEADER_SIZE: Final = len(_ENTRY) + 8


class RegularFile(NamedTuple):
    """A regular file begins: its contents are the NAR's ``size`` bytes from ``offset``. The root has no ``name``."""

    name: bytes
    executable: bool
    size: int
    offset: int


class Symlink(NamedTuple):
    """A symlink."""

    name: bytes
    target: bytes


class DirectoryStart(NamedTuple):
    """A directory begins; its entries follow, in order."""

    name: bytes


class DirectoryEnd(NamedTuple):
    """The innermost directory ends."""


Event: TypeAlias = RegularFile | Symlink | DirectoryStart | DirectoryEnd


class NarParser:
    """Turns the bytes of one NAR into events; holds at most one name or target, and one name a level."""

    def __init__(self) -> None:
        """Start before the first byte."""
        self._step: _Step = self._open_archive  # what must come next
        self._pending = b""  # bytes seen, but not yet enough of them for the next step
        self._offset = 0  # of the first pending byte
        self._name = b""  # of the node that comes next
        self._remaining = 0  # contents still to come
        self._end = b""  # what must follow the contents or target
        self._last_names: list[bytes] = []  # of each open directory: the newest name in it

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that ``data`` completes.

        Raises :class:`PermanentError` (``nar-malformed``, ``nar-trailing-data``) with the offset of the first byte
        at fault.
        """
        buffer = self._pending + data if self._pending else data
        events: list[Event] = []
        position = 0
        while position < len(buffer):
            after = self._step(buffer, position, events)
            if after is None:
                break
            position = after
        self._pending = buffer[position:]
        self._offset += position
        return events

    def close(self) -> None:
        """Say that no more bytes come; raises :class:`PermanentError` (``nar-malformed``) if some are missing."""
        if self._step != self._trailing_data:
            raise _malformed("The archive ends too early.", self._offset + len(self._pending))

    # A step reads one construct at a position, appends its events, chooses the next step, and returns the position
    # after it; or None, having changed nothing, when more bytes are needed.

    def _open_archive(self, buffer: bytes, position: int, _events: list[Event]) -> int | None:
        after = self._after(_OPEN_ARCHIVE, buffer, position)
        if after is not None:
            self._step = self._node
        return after

    def _node(self, buffer: bytes, position: int, events: list[Event]) -> int | None:
        if len(self._last_names) >= MAX_DEPTH:
            raise _malformed(f"A node is deeper than {MAX_DEPTH} levels.", self._offset + position)
        if buffer.startswith(_PLAIN_FILE, position):
            return self._file(buffer, position + len(_PLAIN_FILE), events, executable=False)
        if buffer.startswith(_DIRECTORY, position):
            self._last_names.append(b"")
            events.append(DirectoryStart(self._name))
            self._step = self._directory_part
            return position + len(_DIRECTORY)
        if buffer.startswith(_SYMLINK, position):
            return self._symlink(buffer, position + len(_SYMLINK), events)
        if buffer.startswith(_EXECUTABLE_FILE, position):
            return self._file(buffer, position + len(_EXECUTABLE_FILE), events, executable=True)
        self._expect_more(_NODE_KINDS, buffer, position)
        return None

    def _file(self, buffer: bytes, position: int, events: list[Event], *, executable: bool) -> int | None:
        size = self._length(buffer, position, low=0, high=MAX_SIZE, what="A file")
        if size is None:
            return None
        position += 8
        events.append(RegularFile(self._name, executable, size, self._offset + position))
        self._end = _ENDS[bool(self._last_names)][-size % 8]
        self._remaining = size
        self._step = self._contents if size else self._end_of_node
        return position

    def _contents(self, buffer: bytes, position: int, _events: list[Event]) -> int:
        present = min(self._remaining, len(buffer) - position)
        self._remaining -= present
        if not self._remaining:
            self._step = self._end_of_node
        return position + present

    def _symlink(self, buffer: bytes, position: int, events: list[Event]) -> int | None:
        length = self._length(buffer, position, low=1, high=MAX_TARGET_LENGTH, what="A symlink target")
        position += 8
        if length is None or len(buffer) < position + length:
            return None
        target = buffer[position : position + length]
        if b"\0" in target:
            raise _malformed("A symlink target holds a NUL.", self._offset + position + target.index(b"\0"))
        events.append(Symlink(self._name, target))
        self._end = _ENDS[bool(self._last_names)][-length % 8]
        self._step = self._end_of_node
        return position + length

    def _end_of_node(self, buffer: bytes, position: int, _events: list[Event]) -> int | None:
        after = self._after(self._end, buffer, position)
        if after is not None:
            self._step = self._directory_part if self._last_names else self._trailing_data
        return after

    def _directory_part(self, buffer: bytes, position: int, events: list[Event]) -> int | None:
        after = self._whole_files(buffer, position, events)
        if after != position:
            return after
        if buffer.startswith(_ENTRY, position):
            return self._entry(buffer, position + len(_ENTRY))
        if buffer.startswith(_CLOSE, position):
            self._last_names.pop()
            events.append(DirectoryEnd())
            # The directory's own node is closed; the entry that holds it, below the root, must be too.
            self._end = _CLOSE
            self._step = self._end_of_node if self._last_names else self._trailing_data
            return position + len(_CLOSE)
        self._expect_more(_DIRECTORY_PARTS, buffer, position)
        return None

    def _whole_files(self, buffer: bytes, position: int, events: list[Event]) -> int:
        """Take all entries that are regular files, wholly in the buffer and without fault; leave the rest to the steps.

        It says nothing that the steps do not say as well: NARs of many small files pass through here at a third of
        the steps' cost.
        """
        if len(self._last_names) >= MAX_DEPTH:
            return position
        last = self._last_names[-1]
        available = len(buffer)
        while buffer.startswith(_ENTRY, position) and position + _HEADER_SIZE <= available:
            (length,) = _LENGTH.unpack_from(buffer, position + len(_ENTRY))
            start = position + _HEADER_SIZE
            end = start + length
            name = buffer[start:end]
            padding = -length % 8
            if buffer.startswith(_OPEN_NESTED_PLAIN[padding], end):
                executable = False
                at = end + len(_OPEN_NESTED_PLAIN[padding])
            elif buffer.startswith(_OPEN_NESTED_EXECUTABLE[padding], end):
                executable = True
                at = end + len(_OPEN_NESTED_EXECUTABLE[padding])
            else:
                break
            if at + 8 > available or length > MAX_NAME_LENGTH or name <= last or not _is_name(name):
                break
            (size,) = _LENGTH.unpack_from(buffer, at)
            at += 8
            close = _NESTED_ENDS[-size % 8]
            if not buffer.startswith(close, at + size):
                break
            events.append(_new_tuple(RegularFile, (name, executable, size, self._offset + at)))
            position = at + size + len(close)
            last = name
        self._last_names[-1] = last
        return position

    def _entry(self, buffer: bytes, position: int) -> int | None:
        length = self._length(buffer, position, low=1, high=MAX_NAME_LENGTH, what="A name")
        position += 8
        if length is None or len(buffer) < position + length:
            return None
        name = buffer[position : position + length]
        if not _is_name(name):
            raise _malformed(f"{name!r} cannot name a directory entry.", self._offset + position)
        if name <= self._last_names[-1]:
            raise _malformed(f"{name!r} does not sort after {self._last_names[-1]!r}.", self._offset + position)
        after = self._after(_OPEN_NESTED[-length % 8], buffer, position + length)
        if after is not None:
            self._name = self._last_names[-1] = name
            self._step = self._node
        return after

    def _trailing_data(self, _buffer: bytes, position: int, _events: list[Event]) -> int:
        raise PermanentError(
            Code.NAR_TRAILING_DATA,
            "Bytes follow the archive's end.",
            remedy="Upload exactly what nix-store --dump writes.",
            offset=self._offset + position,
        )

    def _after(self, expected: bytes, buffer: bytes, position: int) -> int | None:
        if buffer.startswith(expected, position):
            return position + len(expected)
        self._expect_more((expected,), buffer, position)
        return None

    def _expect_more(self, choices: Sequence[bytes], buffer: bytes, position: int) -> None:
        """Return if what is there can still become one of ``choices``; otherwise raise at the first wrong byte."""
        present = buffer[position : position + max(map(len, choices))]
        agreed = max(_agreement(choice, present) for choice in choices)
        if agreed < len(present):
            raise _malformed("This is not what the format has here.", self._offset + position + agreed)

    def _length(self, buffer: bytes, position: int, *, low: int, high: int, what: str) -> int | None:
        if len(buffer) < position + 8:
            return None
        length: int = _LENGTH.unpack_from(buffer, position)[0]
        if not low <= length <= high:
            raise _malformed(f"{what} has {length} bytes; allowed are {low} to {high}.", self._offset + position)
        return length


_SLASH: Final = ord("/")
_NUL: Final = 0
_new_tuple = tuple.__new__  # what a NamedTuple's own constructor calls, at three times the cost


def _is_name(name: bytes) -> bool:
    """Tell whether a directory entry can be called ``name``, its length apart."""
    # Bytes are looked for as numbers: to look for b"/", Python first raises, and catches, that it is no number.
    return name not in {b".", b".."} and _SLASH not in name and _NUL not in name


_Step: TypeAlias = "Callable[[bytes, int, list[Event]], int | None]"


def _agreement(left: bytes, right: bytes) -> int:
    """Return how many bytes the two have in common from their start."""
    pairs = zip(left, right, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right)))


def _malformed(problem: str, offset: int) -> PermanentError:
    return PermanentError(
        Code.NAR_MALFORMED, problem, remedy="Upload exactly what nix-store --dump writes.", field="NAR", offset=offset
    )


_READ_SIZE = 1024 * 1024


def dump(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Yield the NAR of the file, symlink or directory at ``path``, byte for byte what ``nix-store --dump`` writes.

    Raises OSError, and :class:`PermanentError` (``nar-malformed``) for what a NAR cannot hold (sockets, devices, more
    than :data:`MAX_DEPTH` levels) and for a file that shrinks meanwhile.
    """
    yield _string(b"nix-archive-1")
    yield from _dump_node(os.fsencode(path), 1)


def _dump_node(path: bytes, level: int) -> Iterator[bytes]:
    if level > MAX_DEPTH:
        raise PermanentError(
            Code.NAR_MALFORMED,
            f"{os.fsdecode(path)!r} is deeper than {MAX_DEPTH} levels.",
            remedy="Flatten the tree: no current Nix restores a deeper one.",
        )
    status = os.lstat(path)
    if stat.S_ISREG(status.st_mode):
        executable = (_run(b"executable", b""),) if status.st_mode & stat.S_IXUSR else ()
        yield b"".join((_run(b"(", b"type", b"regular"), *executable, _string(b"contents")))
        yield _LENGTH.pack(status.st_size)
        yield from _dump_contents(path, status.st_size)
        yield bytes(-status.st_size % 8) + _CLOSE
    elif stat.S_ISLNK(status.st_mode):
        yield _run(b"(", b"type", b"symlink", b"target", os.readlink(path), b")")
    elif stat.S_ISDIR(status.st_mode):
        yield _run(b"(", b"type", b"directory")
        for name in sorted(os.listdir(path)):
            yield _run(b"entry", b"(", b"name", name, b"node")
            yield from _dump_node(os.path.join(path, name), level + 1)
            yield _CLOSE
        yield _CLOSE
    else:
        raise PermanentError(
            Code.NAR_MALFORMED,
            f"{os.fsdecode(path)!r} is neither a regular file, a directory nor a symlink.",
            remedy="Remove it: a store object cannot hold it.",
        )


def _dump_contents(path: bytes, size: int) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        remaining = size
        while remaining:
            piece = file.read(min(_READ_SIZE, remaining))
            if not piece:
                raise PermanentError(
                    Code.NAR_MALFORMED, f"{os.fsdecode(path)!r} shrank while it was read.", remedy="Try again."
                )
            remaining -= len(piece)
            yield piece
