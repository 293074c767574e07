"""NARs to ask about: whole ones, damaged ones, and ones whose grammar is wrong though their encoding is right."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from tests.nixcache.nar_model import MAGIC, File, Link, Node, Tree, encode, nar, nested
from tests.nixcache.strategies import mutations, nodes


class NarCase(NamedTuple):
    """A NAR, perhaps, and how it was made."""

    kind: str
    data: bytes


_TAGS = [b"(", b")", b"type", b"regular", b"symlink", b"directory", b"executable", b"contents", b"target"]
_TAGS += [b"entry", b"name", b"node", b"", b"a", b"b", b".", b"..", b"a/b", b"a\0", b"\xff", MAGIC]
_LENGTHS = [0, 1, 2, 7, 8, 9, 255, 256, 4095, 4096, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1]


def nar_cases(real: Sequence[bytes]) -> st.SearchStrategy[NarCase]:
    """Any case; ``real`` are NARs of store paths that Nix built, to start from beside the invented ones."""
    valid = trees().map(nar) | st.sampled_from(list(real))
    small = nodes().map(nar) | st.sampled_from(list(real))
    return st.one_of(
        valid.map(lambda data: NarCase("whole", data)),
        small.flatmap(mutations).map(lambda data: NarCase("damaged bytes", data)),
        small.flatmap(_other_strings).map(lambda data: NarCase("other strings", data)),
        small.flatmap(_other_encoding).map(lambda data: NarCase("other lengths and padding", data)),
        _odd_directories().map(lambda data: NarCase("odd directories", data)),
    )


def trees() -> st.SearchStrategy[Node]:
    """Any tree: mostly small ones, but also deep, wide and long ones, up to and beyond each limit."""
    sizes = st.integers(0, 70) | st.sampled_from([4095, 4096, 4097, 65535, 65536, 300_000])
    files = st.builds(
        lambda size, executable: File(bytes(i % 251 for i in range(size)), executable), sizes, st.booleans()
    )
    names = st.binary(min_size=1, max_size=12) | st.integers(250, 258).map(lambda length: b"n" * length)
    return st.one_of(
        nodes(),
        nodes(),
        files,
        st.builds(nested, st.integers(1, 68), st.none() | nodes()),
        st.integers(0, 400).map(lambda count: Tree({b"%d" % number: File(b"%d" % number) for number in range(count)})),
        st.dictionaries(names, nodes(), max_size=6).map(Tree),
        st.integers(4085, 4105).map(lambda length: Link(b"t" * length)),
        st.binary(max_size=12).map(Link),
    )


def strings_of(data: bytes) -> list[bytes]:
    """Return the strings that a NAR consists of."""
    strings = []
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        strings.append(data[position + 8 : position + 8 + length])
        position += 8 + length + -length % 8
    return strings


@st.composite
def _other_strings(draw: st.DrawFn, data: bytes) -> bytes:
    """The strings of ``data``, but some left out, doubled, replaced, moved."""
    strings = strings_of(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(strings) - 1)))
        match draw(st.sampled_from(["drop", "repeat", "replace", "insert", "swap", "run", "cut"])):
            case "drop":
                del strings[at : at + 1]
            case "repeat":
                strings[at:at] = strings[at : at + 1]
            case "replace":
                strings[at : at + 1] = [draw(st.sampled_from(_TAGS))]
            case "insert":
                strings.insert(at, draw(st.sampled_from(_TAGS)))
            case "swap":
                strings[at : at + 2] = reversed(strings[at : at + 2])
            case "run":
                run = strings[at : at + draw(st.integers(2, 8))]
                strings[at:at] = run
            case _:
                del strings[at : at + draw(st.integers(2, 8))]
    return encode(strings)


@st.composite
def _other_encoding(draw: st.DrawFn, data: bytes) -> bytes:
    """The strings of ``data`` in their order, but one with another length or other padding."""
    strings = strings_of(data)
    wrong = draw(st.integers(0, len(strings) - 1))
    text = strings[wrong]
    length, padding = len(text), bytes(-len(text) % 8)
    match draw(st.sampled_from(["length", "length by a little", "padding", "more padding", "no padding"])):
        case "length":
            length = draw(st.sampled_from(_LENGTHS))
        case "length by a little":
            length = max(0, length + draw(st.integers(-9, 9)))
        case "padding":
            padding = draw(st.binary(min_size=len(padding), max_size=len(padding)))
        case "more padding":
            padding += bytes(8)
        case _:
            padding = b""
    return encode(strings[:wrong]) + struct.pack("<Q", length) + text + padding + encode(strings[wrong + 1 :])


@st.composite
def _odd_directories(draw: st.DrawFn) -> bytes:
    """A directory whose entries are in any order, any number of times, under names that may be none."""
    names = st.binary(max_size=3) | st.sampled_from([b".", b"..", b"a", b"A", b"a/b", b"/", b"a\0b", b"\0", b"x" * 256])
    contents: st.SearchStrategy[Node] = st.sampled_from(
        [File(b"x"), File(b"y", executable=True), Link(b"a"), Link(b"a\0b"), Tree()]
    )
    strings = [MAGIC, b"(", b"type", b"directory"]
    for name in draw(st.lists(names, max_size=4)):
        strings += [b"entry", b"(", b"name", name, b"node", *strings_of(nar(draw(contents)))[1:], b")"]
    return encode([*strings, b")"])
