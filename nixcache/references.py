"""The reference scanner: finds which hash parts the bytes of a NAR mention (src/libstore/references.cc)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixcache import nix32
from nixcache.store_path import HASH_PART_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nixcache.store_path import HashPart

# Every Nix32 character becomes 1 and every other byte 0, so that one search at memory speed finds all candidates.
_IS_NIX32 = bytes(byte in nix32.ALPHABET.encode() for byte in range(256))
_CANDIDATE = b"\1" * HASH_PART_LENGTH
_OVERLAP = HASH_PART_LENGTH - 1
_SHORT_RUN = 4096
"""Characters up to which a run of Nix32 characters is looked at window by window. Real text rarely has longer ones; a
run of gigabytes, which somebody made on purpose, is searched once for each reference instead."""


class ReferenceScanner:
    """Finds given hash parts in a stream, across the seams between its pieces."""

    def __init__(self, hash_parts: Iterable[HashPart]) -> None:
        """Look for ``hash_parts``."""
        self._wanted = {hash_part.encode(): hash_part for hash_part in hash_parts}
        self._found: set[HashPart] = set()
        self._tail = b""

    @property
    def found(self) -> frozenset[HashPart]:
        """The hash parts that the bytes so far mention."""
        return frozenset(self._found)

    def feed(self, data: bytes) -> None:
        """Look at the next piece."""
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
        if end - start <= _SHORT_RUN:
            windows = (text[at : at + HASH_PART_LENGTH] for at in range(start, end - _OVERLAP))
            mentioned = [window for window in windows if window in self._wanted]
        else:
            mentioned = [wanted for wanted in self._wanted if text.find(wanted, start, end) >= 0]
        for window in mentioned:
            if (hash_part := self._wanted.pop(window, None)) is not None:
                self._found.add(hash_part)
