"""The reference scanner: which store paths the bytes of a NAR mention (src/libstore/references.cc).

Nix takes the hash part alone as a mention of a path that it knows. So does this scanner for the *declared* references,
each of which it looks for by itself; those that nobody declared it knows by the store dir in front of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixcache import nix32
from nixcache.byte_search import find
from nixcache.errors import Code, PermanentError
from nixcache.store_path import HASH_PART_LENGTH, MAX_NAME_LENGTH, StorePath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nixcache.store_path import HashPart, StoreDir

MAX_UNDECLARED = 64
"""Undeclared store paths that are named. A disk image mentions thousands, and somebody will ask about each."""
WORK_LIMIT = 2**35
"""Units of work for one NAR, about a minute. Real NARs need a thousandth of it for a gigabyte; one that is made of
nothing but mentions, or of Nix32 characters, would on purpose cost hours for the kilobytes that it compresses to."""

# Every Nix32 character becomes 1 and every other byte 0, so that one search at memory speed finds all candidates.
_IS_NIX32 = bytes(byte in nix32.ALPHABET.encode() for byte in range(256))
_CANDIDATE = b"\1" * HASH_PART_LENGTH
_OVERLAP = HASH_PART_LENGTH - 1
# The look-ahead is for names that no store path has: ".", "..", and what starts with ".-" or "..-".
_BASE_NAME = re.compile(
    rb"[%b]{%d}-(?!\.\.?(?:-|(?![0-9A-Za-z+._?=-])))[0-9A-Za-z+._?=-]{1,%d}"
    % (nix32.ALPHABET.encode(), HASH_PART_LENGTH, MAX_NAME_LENGTH)
)
_BASE_NAME_LENGTH = HASH_PART_LENGTH + 1 + MAX_NAME_LENGTH
# A search for one hash part skips through the bytes ten times as fast as all runs of Nix32 characters are looked at.
_SEARCHED_ONE_BY_ONE = 12
# Except in bytes that were made for it: there it takes four nanoseconds a byte. After so many bytes, each counted once
# for each hash part that was still missing, it is left to the runs, whose work is counted.
_SEARCHED_AT_MOST = 2**33
# What looking costs, in units of some two nanoseconds: a slice and a set look-up for each window, or a byte of a search
# for each wanted hash part; and whatever a run, or a mention, costs before that.
_WINDOW_COST = 64
_RUN_COST = 1024
_MENTION_COST = 1024


class ReferenceScanner:
    """Finds mentions in a stream, across the seams between its pieces."""

    def __init__(self, store_dir: StoreDir, declared: Iterable[HashPart]) -> None:
        """Look for the ``declared`` hash parts, and for any other store path of ``store_dir``."""
        self._prefix = f"{store_dir.path}/".encode()
        self._wanted = {hash_part.encode(): hash_part for hash_part in declared}
        self._known = set(self._wanted)
        self._found: set[HashPart] = set()
        self._undeclared: list[StorePath] = []
        self._overflowed = False
        self._seam = len(self._prefix) + _BASE_NAME_LENGTH - 1  # the longest beginning of a mention
        self._tail = b""
        self._work = 0
        self._searched = 0

    @property
    def found(self) -> frozenset[HashPart]:
        """The declared hash parts that the bytes so far mention."""
        return frozenset(self._found)

    @property
    def undeclared(self) -> tuple[StorePath, ...]:
        """The undeclared store paths that the bytes mention, in order, one a hash part, :data:`MAX_UNDECLARED` at most.

        A name goes as far as its characters do: what follows a mention in a text may be taken as part of it.
        """
        return tuple(self._undeclared)

    @property
    def overflowed(self) -> bool:
        """Whether there are more undeclared store paths than are named."""
        return self._overflowed

    def feed(self, data: bytes) -> None:
        """Look at the next piece; raises :class:`PermanentError` (``too-large``) beyond :data:`WORK_LIMIT`."""
        # The seam is looked at by itself, so that the piece need not be copied.
        self._look(self._tail + data[: self._seam])
        if len(data) > self._seam:
            self._look(data)
            self._tail = data[-self._seam :]
        else:
            self._tail = (self._tail + data)[-self._seam :]

    def finish(self) -> None:
        """Say that no more data comes: a mention may end where the data does."""
        self._look_for_store_paths(self._tail, len(self._tail))

    def _look(self, text: bytes) -> None:
        if self._overflowed and not self._wanted:
            return
        # A mention that begins later may go on behind the text: the next seam has it whole.
        self._look_for_store_paths(text, len(text) - self._seam)
        if len(self._wanted) > _SEARCHED_ONE_BY_ONE or self._searched > _SEARCHED_AT_MOST:
            self._look_at_runs(text)
        else:
            self._searched += len(text) * len(self._wanted)
            self._find([wanted for wanted in self._wanted if find(text, wanted) >= 0])

    def _look_for_store_paths(self, text: bytes, end: int) -> None:
        prefix = self._prefix
        at = find(text, prefix)
        while 0 <= at < end:
            self._spend(_MENTION_COST)
            start = at + len(prefix)
            hash_part = text[start : start + HASH_PART_LENGTH]
            if hash_part in self._known:
                self._find([hash_part])
            elif not self._overflowed and (mention := _BASE_NAME.match(text, start)):
                self._note(hash_part, mention[0])
            # From the next byte on: in /nix/store/nix/store/… one mention begins inside the other's store dir.
            at = find(text, prefix, at + 1)

    def _note(self, hash_part: bytes, base_name: bytes) -> None:
        if len(self._undeclared) == MAX_UNDECLARED:
            self._overflowed = True
            return
        self._known.add(hash_part)
        self._undeclared.append(StorePath.from_base_name(base_name.decode("ascii")))

    def _find(self, hash_parts: Iterable[bytes]) -> None:
        for mentioned in hash_parts:
            if (hash_part := self._wanted.pop(mentioned, None)) is not None:
                self._found.add(hash_part)

    def _look_at_runs(self, text: bytes) -> None:
        is_nix32 = text.translate(_IS_NIX32)
        start = is_nix32.find(_CANDIDATE)
        while start >= 0 and self._wanted:
            end = is_nix32.find(0, start)
            end = len(text) if end < 0 else end
            self._look_at_run(text, start, end)
            start = is_nix32.find(_CANDIDATE, end)

    def _look_at_run(self, text: bytes, start: int, end: int) -> None:
        length = end - start
        by_window = (length - _OVERLAP) * _WINDOW_COST
        by_search = (length + _RUN_COST) * len(self._wanted)
        self._spend(_RUN_COST + min(by_window, by_search))
        if by_window < by_search:
            windows = (text[at : at + HASH_PART_LENGTH] for at in range(start, end - _OVERLAP))
            mentioned = [window for window in windows if window in self._wanted]
        else:
            mentioned = [wanted for wanted in self._wanted if text.find(wanted, start, end) >= 0]
        self._find(mentioned)

    def _spend(self, work: int) -> None:
        self._work += work
        if self._work > WORK_LIMIT:
            raise PermanentError(
                Code.TOO_LARGE,
                "The NAR holds more text that looks like store paths than is searched for references.",
                remedy="Compress such data inside the output.",
                field="References",
            )
