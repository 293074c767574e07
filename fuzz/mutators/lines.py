"""Mutations of text that is made of lines of a name, a colon, a space and a value, as a narinfo is."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from fuzz.oracles.spellings import spellings
from nixcache.errors import PermanentError
from nixcache.hashes import Hash

if TYPE_CHECKING:
    from collections.abc import Callable

    from fuzz.target import Bytewise

_BLIND = 0.2
_MOST_CHANGES = 3
_NAMES = (
    *(b"StorePath", b"URL", b"Compression", b"FileHash", b"FileSize", b"NarHash", b"NarSize"),
    *(b"References", b"Deriver", b"Sig", b"CA", b"System", b"nArsize", b"X-1"),
)
_VALUES = (
    *(b"", b" ", b"0", b"00", b"1", b"-1", b"+1", b"1_0", b"9223372036854775807", b"9223372036854775808", b"9" * 40),
    *(b"none", b"zstd", b"xz", b"bzip2", b"gzip", b"br", b"compress", b"snappy", b"ZSTD", b"unknown-deriver"),
    *(b"sha256:", b"sha1:", b"md5:", b"text:sha256:", b"fixed:", b"fixed:r:", b"fixed:git:sha1:", b"..", b"a:b"),
    *(b"/nix/store/", b"nar/x.nar", b"https://example.org/x.nar", b"\xd9\xa3", b"\xff", b"\r", b"\t", b"\0"),
)
_SEPARATORS = (b": ", b":", b":  ", b" : ", b":\t", b" ")
_ENDS = (b"\n", b"\r\n", b"\n\n", b"", b"\0", b"\x0b", b"\x85", b"\xe2\x80\xa8")
_HASH = re.compile(rb"(md5|sha1|sha256|sha512):[0-9a-z]+")


def mutate_lines(text: bytes, source: random.Random, bytewise: Bytewise) -> bytes:
    """Return ``text`` with a few of its lines or values changed."""
    if source.random() < _BLIND:
        return bytewise(text)
    lines = text.split(b"\n")
    for _ in range(source.randint(1, _MOST_CHANGES)):
        source.choice(_CHANGES)(lines, source)
    if source.random() < _BLIND:
        at = source.randrange(len(lines))
        lines[at] = _with_value(lines[at], bytewise)
    end = source.choice(_ENDS) if source.random() < _BLIND else b"\n"
    return end.join(lines)


def _drop(lines: list[bytes], source: random.Random) -> None:
    del lines[source.randrange(len(lines))]
    lines[:] = lines or [b""]


def _copy(lines: list[bytes], source: random.Random) -> None:
    lines.insert(source.randint(0, len(lines)), source.choice(lines))


def _swap(lines: list[bytes], source: random.Random) -> None:
    one, other = source.randrange(len(lines)), source.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _change_value(lines: list[bytes], source: random.Random) -> None:
    at = source.randrange(len(lines))
    lines[at] = _with_value(lines[at], lambda _: source.choice(_VALUES))


def _join_values(lines: list[bytes], source: random.Random) -> None:
    at = source.randrange(len(lines))
    donor = source.choice(lines).partition(b": ")[2]
    lines[at] = _with_value(lines[at], lambda value: source.choice((donor, value + b" " + donor, value * 2)))


def _change_encoding(lines: list[bytes], source: random.Random) -> None:
    """Write hashes in another of the encodings that Nix reads."""
    at = source.randrange(len(lines))
    lines[at] = _HASH.sub(lambda match: _encoded_otherwise(match[0], source), lines[at])


def _change_name(lines: list[bytes], source: random.Random) -> None:
    at = source.randrange(len(lines))
    name, _, value = lines[at].partition(b": ")
    lines[at] = source.choice((name, *_NAMES)) + source.choice(_SEPARATORS) + value


_CHANGES: tuple[Callable[[list[bytes], random.Random], None], ...] = (
    _drop,
    _copy,
    _swap,
    _change_value,
    _join_values,
    _change_encoding,
    _change_name,
)


def _with_value(line: bytes, change: Callable[[bytes], bytes]) -> bytes:
    name, separator, value = line.rpartition(b": ")
    return name + separator + change(value)


def _encoded_otherwise(text: bytes, source: random.Random) -> bytes:
    try:
        parsed = Hash.parse(text.decode())
    except PermanentError:
        return text
    forms = sorted(spellings(parsed.algorithm.value, parsed.digest))
    return source.choice((*forms, forms[0].upper(), parsed.nix32)).encode()
