"""Mutations of a NAR as the list of strings that it is, each written again with its right length and padding.

Without them fuzzing stays in the first string: one changed length makes nonsense of all that follows.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from fuzz.oracles.archive import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from fuzz.target import Bytewise

_TOKENS = (
    *(b"nix-archive-1", b"(", b")", b"type", b"regular", b"executable", b"", b"contents"),
    *(b"symlink", b"target", b"directory", b"entry", b"name", b"node"),
)
_NAMES = (
    *(b"", b".", b"..", b"...", b"a", b"a/b", b"/", b"a\0", b"b", b"aa", b"a.", b"A", b"lib", b"debug", b".build-id"),
    *(b"0f", b"0f" * 19 + b".debug", b"x" * 255, b"x" * 256, b"\xff", b"\xc3\xa9", b'"\\\n'),
)
_ENTRY = (b"entry", b"(", b"name")
_MOST_COPIED = 40  # strings: an entry of a directory of a directory
_BLIND = 0.2
_MOST_CHANGES = 4
_LENGTHS = (255, 256, 4095, 4096)


def mutate_archive(nar: bytes, source: random.Random, bytewise: Bytewise) -> bytes:
    """Return ``nar`` with a few of its strings changed, moved, copied, dropped or put in."""
    if source.random() < _BLIND:
        return bytewise(nar)
    words = strings(nar)
    for _ in range(source.randint(1, _MOST_CHANGES)):
        source.choice(_CHANGES)(words, source)
    if words and source.random() < _BLIND:
        at = source.randrange(len(words))
        words[at] = bytewise(words[at])
    return encode(words)


def strings(nar: bytes) -> list[bytes]:
    """Return the strings as far as there are any; the last one may be cut off."""
    words = []
    at = 0
    while at + 8 <= len(nar):
        length = int.from_bytes(nar[at : at + 8], "little")
        words.append(nar[at + 8 : at + 8 + length])
        at += 8 + length + -length % 8
    return words


def _put_token(words: list[bytes], source: random.Random) -> None:
    at = source.randint(0, len(words))
    words[at : at + source.randint(0, 1)] = [source.choice(_TOKENS)]


def _drop(words: list[bytes], source: random.Random) -> None:
    start, stop = _span(words, source)
    del words[start:stop]


def _copy(words: list[bytes], source: random.Random) -> None:
    start, stop = _span(words, source)
    at = source.randint(0, len(words))
    words[at:at] = words[start:stop]


def _swap(words: list[bytes], source: random.Random) -> None:
    if words:
        one, other = source.randrange(len(words)), source.randrange(len(words))
        words[one], words[other] = words[other], words[one]


def _rename(words: list[bytes], source: random.Random) -> None:
    at = _somewhere_behind(words, b"name", source)
    if at is not None:
        words[at] = source.choice(_NAMES)


def _retarget(words: list[bytes], source: random.Random) -> None:
    at = _somewhere_behind(words, b"target", source)
    if at is not None:
        words[at] = source.choice(_NAMES)


def _resize(words: list[bytes], source: random.Random) -> None:
    """Bring a name, a target or contents to the edge of a limit or of a padding."""
    at = _somewhere_behind(words, source.choice((b"name", b"target", b"contents")), source)
    if at is not None:
        words[at] = (words[at] or b"x").ljust(4096, b"x")[: source.choice((*range(18), *_LENGTHS))]


def _put_entry(words: list[bytes], source: random.Random) -> None:
    """Put an entry in front of another one, or into an empty directory."""
    places = [at for at, word in enumerate(words) if word == b"entry"]
    places += [at + 1 for at, word in enumerate(words) if word == b"directory"]
    if places:
        at = source.choice(places)
        words[at:at] = [*_ENTRY, source.choice(_NAMES), b"node", *source.choice(_NODES), b")"]


_NODES = (
    (b"(", b"type", b"regular", b"contents", b"", b")"),
    (b"(", b"type", b"regular", b"contents", b"contents", b")"),
    (b"(", b"type", b"regular", b"executable", b"", b"contents", b"12345678", b")"),
    (b"(", b"type", b"symlink", b"target", b"..", b")"),
    (b"(", b"type", b"directory", b")"),
)


def _put_into_directory(words: list[bytes], source: random.Random) -> None:
    """Make the root an entry of a new root, up to a few levels at once."""
    levels = source.choice((1, 1, 1, 1, 1, 1, 2, 3, 60))
    name = source.choice((b"a", b"lib", b"x" * 8))
    words[1:] = [b"(", b"type", b"directory", *_ENTRY, name, b"node"] * levels + words[1:] + [b")", b")"] * levels


def _make_executable(words: list[bytes], source: random.Random) -> None:
    at = _somewhere_behind(words, b"regular", source)
    if at is not None:
        words[at : at + 2] = [b"contents"] if words[at] == b"executable" else [b"executable", b"", words[at]]


_CHANGES: tuple[Callable[[list[bytes], random.Random], None], ...] = (
    _put_token,
    _drop,
    _copy,
    _swap,
    _rename,
    _retarget,
    _resize,
    _put_entry,
    _put_into_directory,
    _make_executable,
)


def _span(words: list[bytes], source: random.Random) -> tuple[int, int]:
    start = source.randint(0, len(words))
    return start, min(len(words), start + source.choice((1, 2, 8, _MOST_COPIED)))


def _somewhere_behind(words: list[bytes], token: bytes, source: random.Random) -> int | None:
    places = [at + 1 for at, word in enumerate(words[:-1]) if word == token]
    return source.choice(places) if places else None
