"""Nix32, Nix's own base-32 encoding (src/libutil/base-nix-32.cc).

Its alphabet leaves out ``e o u t`` and it reads the bytes as one little-endian number whose most significant
digit comes first: neither RFC 4648 nor any library's base 32 gives the same text.
"""

from __future__ import annotations

from nixcache.errors import Code, PermanentError

ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
_VALUES = {character: value for value, character in enumerate(ALPHABET)}


def encoded_length(size: int) -> int:
    """Return the number of characters that ``size`` bytes take."""
    return (size * 8 + 4) // 5


def encode(data: bytes) -> str:
    """Return ``data`` in Nix32, without padding."""
    number = int.from_bytes(data, "little")
    return "".join(ALPHABET[(number >> (5 * position)) & 31] for position in reversed(range(encoded_length(len(data)))))


def decode(text: str) -> bytes:
    """Return the bytes that ``text`` encodes.

    Raises :class:`PermanentError` (``hash-malformed``) for a character outside the alphabet, for a length that no
    number of bytes has, and for bits beyond the last byte: two texts never stand for the same bytes.
    """
    size = len(text) * 5 // 8
    if encoded_length(size) != len(text):
        raise PermanentError(Code.HASH_MALFORMED, f"{len(text)} characters are no whole number of bytes in Nix32.")
    number = 0
    for offset, character in enumerate(text):
        value = _VALUES.get(character)
        if value is None:
            raise PermanentError(
                Code.HASH_MALFORMED,
                f"{character!r} is not a Nix32 character.",
                remedy=f"Use only {ALPHABET}.",
                offset=offset,
            )
        number = number << 5 | value
    if number >> (size * 8):
        raise PermanentError(
            Code.HASH_MALFORMED, "The first Nix32 character holds bits beyond the last byte.", offset=0
        )
    return number.to_bytes(size, "little")
