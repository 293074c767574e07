"""Hashes with their algorithm, in each of the encodings that Nix reads (src/libutil/hash.cc)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from nixcache import nix32
from nixcache.errors import Code, PermanentError

if TYPE_CHECKING:
    from hashlib import _Hash

_HEX = re.compile(r"[0-9A-Fa-f]*")


class HashAlgorithm(StrEnum):
    """The algorithms that a store object may be addressed by.

    BLAKE3 is not among them: newer clients read it only with an experimental feature switched on, older ones never.
    """

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA512 = "sha512"

    @property
    def digest_size(self) -> int:
        """Number of bytes in a digest."""
        return self.new().digest_size

    def new(self) -> _Hash:
        """Return a fresh hash state. A content address by MD5 or SHA-1 proves no more than they do."""
        return hashlib.new(self.value, usedforsecurity=False)


@dataclass(frozen=True, slots=True, order=True)
class Hash:
    """A digest and the algorithm that made it."""

    algorithm: HashAlgorithm
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> Hash:
        """Read ``<algorithm>:<Nix32, hex or base64>`` or SRI's ``<algorithm>-<base64>``.

        Raises :class:`PermanentError` (``hash-malformed``).
        """
        name, colon, rest = text.partition(":")
        if not colon:
            name, dash, rest = text.partition("-")
            if not dash:
                raise PermanentError(
                    Code.HASH_MALFORMED, "The hash names no algorithm.", remedy="Write it as sha256:<Nix32>."
                )
        try:
            algorithm = HashAlgorithm(name)
        except ValueError:
            raise PermanentError(
                Code.HASH_MALFORMED, f"{name[:32]!r} is not a hash algorithm.", remedy="Use sha256."
            ) from None
        return cls(algorithm, _decode_digest(rest, algorithm.digest_size, sri=not colon))

    @property
    def nix32(self) -> str:
        """The digest alone, in Nix32."""
        return nix32.encode(self.digest)

    @property
    def hex(self) -> str:
        """The digest alone, in lower-case hex."""
        return self.digest.hex()

    def __str__(self) -> str:
        """``<algorithm>:<Nix32>``, the canonical form that signatures are made over."""
        return f"{self.algorithm}:{self.nix32}"


def _decode_digest(text: str, size: int, *, sri: bool) -> bytes:
    """Tell the encodings apart by their length, as Nix does."""
    if not sri and len(text) == size * 2 and _HEX.fullmatch(text):
        return bytes.fromhex(text)
    if not sri and len(text) == nix32.encoded_length(size):
        return nix32.decode(text)
    try:
        digest = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        digest = b""
    # Base64 leaves spare bits in its last character: without the second look two texts would stand for one digest.
    if len(digest) != size or base64.b64encode(digest).decode() != text:
        raise PermanentError(
            Code.HASH_MALFORMED, f"The digest is not {size} bytes in Nix32, hex or base64.", remedy="Recompute it."
        )
    return digest
