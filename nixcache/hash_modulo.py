"""The hash of a NAR modulo its own hash part (src/libstore/references.cc, src/libutil/references.cc, HashModuloSink).

A content-addressed path that mentions itself cannot hash its own name, so each mention is hashed as 32 NULs, and the
offsets of the mentions are hashed after the bytes, so that NULs which stood there before are told apart.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from nixcache.errors import Code, PermanentError

if TYPE_CHECKING:
    from nixcache.hashes import HashAlgorithm
    from nixcache.store_path import HashPart

MAX_SELF_REFERENCES = 1_000_000
"""Mentions; each offset is held until the end, and memory is bounded."""


class HashModulo:
    """Hashes a stream with every mention of one hash part blotted out."""

    def __init__(self, algorithm: HashAlgorithm, hash_part: HashPart) -> None:
        """Blot out ``hash_part``."""
        self._state = algorithm.new()
        self._modulus = hash_part.encode()
        self._blot = bytes(len(self._modulus))
        self._tail = b""
        self._offset = 0  # of the tail's first byte
        self._mentions = array("Q")

    def update(self, data: bytes) -> None:
        """Hash the next piece; raises :class:`PermanentError` (``too-large``) for absurdly many mentions."""
        text = self._tail + data
        at = text.find(self._modulus)
        while at >= 0:
            self._mentions.append(self._offset + at)
            at = text.find(self._modulus, at + len(self._modulus))
        if len(self._mentions) > MAX_SELF_REFERENCES:
            raise PermanentError(
                Code.TOO_LARGE,
                f"The NAR mentions its own store path more than {MAX_SELF_REFERENCES} times.",
                remedy="Such a path can be published input-addressed.",
                field="CA",
            )
        text = text.replace(self._modulus, self._blot)
        keep = min(len(text), len(self._modulus) - 1)
        hashed = len(text) - keep
        self._state.update(text[:hashed])
        self._tail = text[hashed:]
        self._offset += hashed

    def digest(self) -> bytes:
        """Return the digest of the bytes so far and the offsets of the mentions; update no more after it."""
        self._state.update(self._tail)
        self._state.update(b"".join(b"|%d" % mention for mention in self._mentions))
        return self._state.digest()
