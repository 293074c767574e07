"""Mutations of a text and the hash parts that are declared of it: mentions whole, nearly so, overlapping."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz.target import Bytewise

_ALPHABET = b"0123456789abcdfghijklmnpqrsvwxyz"
_BLIND = 0.2
_MOST_CHANGES = 4
_FRAGMENTS = (
    b"/nix/store/",
    b"/nix/store",
    b"/",
    b"-",
    b"-x",
    b"-..",
    b"-.",
    b"-.-a",
    b"-" + b"n" * 212,
    b"\0",
    b"e",
    b" ",
)


def mutate_mentions(data: bytes, source: random.Random, bytewise: Bytewise) -> bytes:
    """Return ``data`` (a line of hash parts, then text) with a hash part declared, or something mentioned."""
    if source.random() < _BLIND:
        return bytewise(data)
    line, _, text = data.partition(b"\n")
    declared = line.split(b" ")
    for _ in range(source.randint(1, _MOST_CHANGES)):
        at = source.randint(0, len(text))
        match source.randrange(5):
            case 0:
                declared.append(_hash_part(source))
            case 1:
                # What stands in the text anyway is declared, or no longer declared.
                declared[source.randrange(len(declared))] = text[at : at + 32]
            case 2:
                text = text[:at] + _mention(declared, source) + text[at:]
            case 3:
                text = text[:at] + source.choice(_FRAGMENTS) + text[at:]
            case _:
                text = text[:at] + text[at + source.choice((1, 31, 40)) :]
    return b" ".join(declared) + b"\n" + text


def _mention(declared: list[bytes], source: random.Random) -> bytes:
    hash_part = source.choice((*declared, _hash_part(source)))
    overlapping = hash_part[source.randrange(33) :]
    mention = source.choice((hash_part, hash_part[:31], overlapping + hash_part, hash_part + overlapping))
    return source.choice((b"", b"/nix/store/")) + mention + source.choice((b"", *_FRAGMENTS))


def _hash_part(source: random.Random) -> bytes:
    # Few digits: parts of one are often parts of another.
    digits = source.choice((_ALPHABET, b"01", b"0"))
    return bytes(source.choice(digits) for _ in range(32))
