"""The reference scanner: finds which hash parts the bytes of a NAR mention (src/libstore/references.cc)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixcache import nix32
from nixcache.errors import Code, PermanentError
from nixcache.store_path import HASH_PART_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nixcache.store_path import HashPart

# Every Nix32 character becomes 1 and every other byte 0, so that one search at memory speed finds all candidates.
_IS_NIX32 = bytes(byte in nix32.ALPHABET.encode() for byte in range(256))
_CANDIDATE = b"\1" * HASH_PART_LENGTH
_OVERLAP = HASH_PART_LENGTH - 1
# What looking costs, in units of some two nanoseconds: a slice and a set look-up for each window, or a byte of a search
# for each wanted hash part; and whatever a run costs before that.
_WINDOW_COST = 64
_RUN_COST = 512
WORK_LIMIT = 2**35
"""Units of work for one NAR, about a minute. Real NARs need a thousandth of it for a gigabyte; one that is made of
nothing but Nix32 characters, on purpose, would otherwise cost hours for the kilobytes that it compresses to."""


class ReferenceScanner:
    """Finds given hash parts in a stream, across the seams between its pieces."""

    def __init__(self, hash_parts: Iterable[HashPart]) -> None:
        """Look for ``hash_parts``."""
        self._wanted = {hash_part.encode(): hash_part for hash_part in hash_parts}
        self._found: set[HashPart] = set()
        self._tail = b""
        self._work = 0

    @property
    def found(self) -> frozenset[HashPart]:
        """The hash parts that the bytes so far mention."""
        return frozenset(self._found)

    def feed(self, data: bytes) -> None:
        """Look at the next piece; raises :class:`PermanentError` (``too-large``) beyond :data:`WORK_LIMIT`."""
        if not self._wanted:
            return
        text = self._tail + data
        self._tail = text[-_OVERLAP:]
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
        self._work += _RUN_COST + min(by_window, by_search)
        if self._work > WORK_LIMIT:
            raise PermanentError(
                Code.TOO_LARGE,
                "The NAR holds more text that looks like hash parts than is searched for references.",
                remedy="Compress such data inside the output.",
                field="References",
            )
        if by_window < by_search:
            windows = (text[at : at + HASH_PART_LENGTH] for at in range(start, end - _OVERLAP))
            mentioned = [window for window in windows if window in self._wanted]
        else:
            mentioned = [wanted for wanted in self._wanted if text.find(wanted, start, end) >= 0]
        for window in mentioned:
            if (hash_part := self._wanted.pop(window, None)) is not None:
                self._found.add(hash_part)
