"""The hash of a store object modulo its own hash part (src/libutil/references.cc: RewritingSink, HashModuloSink).

A content-addressed path that mentions itself cannot hash its own name, so each mention is hashed as 32 NULs. Up to
Nix 2.16 and again from 2.35 on, the offsets of the mentions are hashed after the bytes, so that NULs which stood there
before are told apart; from 2.17 to 2.34 they are not (NixOS/nix#15837). Without a mention all of them agree.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from nixcache.errors import Code, PermanentError

if TYPE_CHECKING:
    from nixcache.hashes import HashAlgorithm
    from nixcache.store_path import HashPart

MAX_SELF_REFERENCES = 1_000_000
"""Mentions; the offset of each, 8 bytes, is held until the end."""

_OFFSETS_AT_ONCE = 4096


class HashModulo:
    """Hashes a stream with every mention of one hash part blotted out, wherever the stream is cut."""

    def __init__(self, algorithm: HashAlgorithm, hash_part: HashPart) -> None:
        """Blot out ``hash_part``."""
        self._state = algorithm.new()
        self._modulus = hash_part.encode("ascii")
        self._blot = bytes(len(self._modulus))
        self._overlap = len(self._modulus) - 1
        self._tail = b""  # what may be the start of a mention, and is not hashed yet
        self._offset = 0  # of the tail's first byte
        self._mentions = array("Q")

    def update(self, data: bytes) -> None:
        """Hash the next piece; raises :class:`PermanentError` (``too-large``) for absurdly many mentions."""
        seam = self._tail + data[: self._overlap]
        if len(data) < self._overlap or self._modulus in seam or self._modulus in data:
            self._update_blotted(self._tail + data)
            return
        # Nearly every piece of nearly every object: it is searched and hashed where it lies, not copied.
        hashed = len(data) - self._overlap
        self._state.update(self._tail)
        self._state.update(memoryview(data)[:hashed])
        self._offset += len(self._tail) + hashed
        self._tail = data[hashed:]

    def digests(self) -> tuple[bytes, ...]:
        """Return the digests that Nix's generations give the bytes; update no more after it.

        One, which is the plain hash, if there was no mention; else two: with the offsets, and without.
        """
        self._state.update(self._tail)
        without_offsets = self._state.digest()
        if not self._mentions:
            return (without_offsets,)
        for start in range(0, len(self._mentions), _OFFSETS_AT_ONCE):
            offsets = self._mentions[start : start + _OFFSETS_AT_ONCE]
            self._state.update(b"".join(b"|%d" % offset for offset in offsets))
        return self._state.digest(), without_offsets

    def _update_blotted(self, text: bytes) -> None:
        at = text.find(self._modulus)
        while at >= 0:
            self._mentions.append(self._offset + at)
            # Two mentions never share a byte: what is blotted out is no longer there to be the start of another.
            at = text.find(self._modulus, at + len(self._modulus))
        if len(self._mentions) > MAX_SELF_REFERENCES:
            raise PermanentError(
                Code.TOO_LARGE,
                f"The NAR mentions its own store path more than {MAX_SELF_REFERENCES} times.",
                remedy="Such a path can be published without a content address.",
                field="CA",
            )
        text = text.replace(self._modulus, self._blot)
        hashed = max(0, len(text) - self._overlap)
        self._state.update(memoryview(text)[:hashed])
        self._tail = text[hashed:]
        self._offset += hashed
