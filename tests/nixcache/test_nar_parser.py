"""The NAR parser: what it accepts, and exactly where it refuses."""

from __future__ import annotations

import struct
from functools import partial

import pytest
from hypothesis import given

from nixcache.errors import Code
from nixcache.nar import (
    MAX_DEPTH,
    MAX_NAME_LENGTH,
    MAX_SIZE,
    MAX_TARGET_LENGTH,
    DirectoryEnd,
    DirectoryStart,
    NarParser,
    RegularFile,
    Symlink,
)
from tests.nixcache.golden import HELLO_NAR
from tests.nixcache.nar_model import MAGIC, File, Link, Node, Tree, encode, events, files, nar, nested, words
from tests.nixcache.outcomes import Failure, outcome, parse_nar
from tests.nixcache.strategies import cut, nodes

FILE = (b"(", b"type", b"regular", b"contents", b"x", b")")


def entry(name: bytes, *node: bytes) -> tuple[bytes, ...]:
    return (b"entry", b"(", b"name", name, b"node", *node, b")")


def directory(*entries: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return (b"(", b"type", b"directory", *(word for one in entries for word in one), b")")


def refusal(data: bytes) -> Failure:
    failure = outcome(lambda: parse_nar([data]))
    assert isinstance(failure, Failure)
    return failure


def test_the_golden_nar() -> None:
    assert parse_nar([HELLO_NAR]) == [
        DirectoryStart(b""),
        DirectoryStart(b"bin"),
        RegularFile(b"hello", executable=True, size=128, offset=400),
        DirectoryEnd(),
        DirectoryStart(b"share"),
        Symlink(b"link", b"../bin/hello"),
        DirectoryEnd(),
        DirectoryEnd(),
    ]


@given(nodes())
def test_the_events_are_those_of_the_tree(node: Node) -> None:
    assert parse_nar([nar(node)]) == events(node)


@given(nodes())
def test_an_offset_is_where_the_contents_are(node: Node) -> None:
    data = nar(node)
    found = [event for event in parse_nar([data]) if isinstance(event, RegularFile)]
    assert [data[file.offset : file.offset + file.size] for file in found] == list(files(node))


@pytest.mark.parametrize("size", range(18))
@pytest.mark.parametrize("executable", [False, True])
def test_every_padding_of_contents(size: int, executable: bool) -> None:  # noqa: FBT001
    node = Tree({b"f": File(b"x" * size, executable=executable)})
    assert parse_nar([nar(node)]) == events(node)


@pytest.mark.parametrize(
    "node",
    [
        Tree(),
        Tree({b"n" * MAX_NAME_LENGTH: Tree()}),
        Link(b"t" * MAX_TARGET_LENGTH),
        Tree({b"\xff": File(), b"\x01": File(), b"a": Link(b"\xff")}),
        nested(MAX_DEPTH),
        nested(MAX_DEPTH, Tree()),
    ],
    ids=["empty directory", "longest name", "longest target", "names in bytes", "deepest file", "deepest directory"],
)
def test_the_limits_themselves_are_allowed(node: Node) -> None:
    assert parse_nar([nar(node)]) == events(node)


def test_names_sort_as_bytes() -> None:
    names = [b"A", b"B", b"a", b"a.b", b"a/b".replace(b"/", b"0"), b"aa", b"\xc3\xa9", b"\xff"]
    assert parse_nar([encode((MAGIC, *directory(*(entry(name, *FILE) for name in names))))])


@pytest.mark.parametrize(
    ("strings", "at"),
    [
        pytest.param((b"nix-archive-2", *FILE), 8 + 12, id="another magic"),
        pytest.param((b"nix-archive-10", *FILE), 0, id="longer magic"),
        pytest.param((MAGIC, b"["), 24 + 8, id="no parenthesis"),
        pytest.param((MAGIC, b"(", b")"), 24 + 16, id="no type"),
        pytest.param((MAGIC, b"(", b"type", b"fifo"), 24 + 32, id="another type"),
        pytest.param((MAGIC, b"(", b"type", b"regulaR"), 24 + 32 + 8 + 6, id="another letter"),
        pytest.param((MAGIC, b"(", b"type", b"regular", b")"), 24 + 48, id="no contents"),
        pytest.param((MAGIC, *FILE[:-1], b"contents"), 24 + 80, id="contents twice"),
        pytest.param((MAGIC, *FILE[:-1], b"executable"), 24 + 80, id="executable after contents"),
        pytest.param((MAGIC, b"(", b"type", b"regular", b"executable", b"y"), 24 + 72, id="executable has a value"),
        pytest.param(
            (MAGIC, b"(", b"type", b"regular", b"executable", b"", b"executable"), 24 + 80, id="executable twice"
        ),
        pytest.param((MAGIC, b"(", b"type", b"symlink", b")"), 24 + 48, id="no target"),
        pytest.param((MAGIC, b"(", b"type", b"symlink", b"target", b""), 24 + 64, id="empty target"),
        pytest.param(
            (MAGIC, b"(", b"type", b"symlink", b"target", b"t" * 4096), 24 + 64, id="target that no file system takes"
        ),
        pytest.param((MAGIC, b"(", b"type", b"symlink", b"target", b"ab\0c"), 24 + 72 + 2, id="NUL in target"),
        pytest.param((MAGIC, b"(", b"type", b"symlink", b"target", b"a", b"target"), 24 + 80, id="target twice"),
        pytest.param((MAGIC, b"(", b"type", b"directory", b"executable"), 24 + 56, id="executable directory"),
        pytest.param((MAGIC, *directory(entry(b"", *FILE))), 24 + 56 + 48, id="empty name"),
        pytest.param((MAGIC, *directory(entry(b"n" * 256, *FILE))), 24 + 56 + 48, id="name too long"),
        pytest.param((MAGIC, *directory(entry(b".", *FILE))), 24 + 56 + 56, id="dot"),
        pytest.param((MAGIC, *directory(entry(b"..", *FILE))), 24 + 56 + 56, id="dot dot"),
        pytest.param((MAGIC, *directory(entry(b"a/b", *FILE))), 24 + 56 + 56, id="slash in name"),
        pytest.param((MAGIC, *directory(entry(b"/", *FILE))), 24 + 56 + 56, id="slash alone"),
        pytest.param((MAGIC, *directory(entry(b"a\0", *FILE))), 24 + 56 + 56, id="NUL in name"),
        pytest.param((MAGIC, b"(", b"type", b"directory", b"entry", b"(", b"node"), 24 + 88 + 9, id="no name"),
        pytest.param((MAGIC, *directory((*entry(b"a")[:4], b")"))), 24 + 56 + 64, id="no node"),
        pytest.param(
            (MAGIC, *directory(entry(b"b", *FILE), entry(b"a", *FILE))), 24 + 56 + 192 + 56, id="unsorted names"
        ),
        pytest.param((MAGIC, *directory(entry(b"a", *FILE), entry(b"a", *FILE))), 24 + 56 + 192 + 56, id="name twice"),
    ],
)
def test_what_nix_never_writes_is_refused_at_its_first_byte(strings: tuple[bytes, ...], at: int) -> None:
    failure = refusal(encode(strings))
    assert (failure.code, failure.field, failure.offset) == (Code.NAR_MALFORMED, "NAR", at)


def test_names_may_not_sort_before_the_last_of_their_own_directory_only() -> None:
    inner = directory(entry(b"z", *FILE))
    assert parse_nar([encode((MAGIC, *directory(entry(b"a", *inner), entry(b"b", *inner))))])
    failure = refusal(encode((MAGIC, *directory(entry(b"b", *inner), entry(b"a", *inner)))))
    assert failure.problem == "b'a' does not sort after b'b'."


@pytest.mark.parametrize("level", [MAX_DEPTH + 1, MAX_DEPTH + 2, 10_000])
@pytest.mark.parametrize("leaf", [FILE, directory()], ids=["file", "directory"])
def test_a_node_below_the_deepest_level_is_refused(level: int, leaf: tuple[bytes, ...]) -> None:
    """I7: each open directory costs memory, so their number is bounded; ten thousand levels end as 65 do."""
    opening = encode((b"(", b"type", b"directory", b"entry", b"(", b"name", b"d", b"node"))
    failure = refusal(encode([MAGIC]) + opening * (level - 1) + encode(leaf))
    # The offset is that of the type: the node's opening is part of the entry's.
    assert failure.offset == 24 + len(opening) * MAX_DEPTH + 32
    assert failure.problem == "A node is deeper than 64 levels."


@pytest.mark.parametrize("leaf", [File(b"x"), File(b"x", executable=True), Link(b"x"), Tree()], ids=repr)
def test_a_whole_nar_of_one_level_too_many_is_refused(leaf: Node) -> None:
    """I7: also where the node below lies in the buffer to its end, and could be taken in one go."""
    failure = refusal(nar(nested(MAX_DEPTH + 1, leaf)))
    assert failure.problem == "A node is deeper than 64 levels."
    assert outcome(lambda: parse_nar(cut(nar(nested(MAX_DEPTH + 1, leaf)), [1]))) == failure


def test_every_padding_byte_is_zero_and_every_fixed_byte_is_fixed() -> None:
    """Any byte may change only where a name or contents are, and with a name the events change too."""
    node = Tree({b"abc": File(b"hello")})
    data = nar(node)
    contents = {data.index(b"hello") + at for at in range(5)}
    free = {data.index(b"abc") + at for at in range(3)} | contents
    for position, byte in enumerate(data):
        altered = data[:position] + bytes([byte ^ 0x20]) + data[position + 1 :]
        result = outcome(partial(parse_nar, [altered]))
        assert isinstance(result, Failure) == (position not in free)
        assert (result == events(node)) == (position in contents)


@pytest.mark.parametrize("length", [MAX_SIZE + 1, 2**63 + 96, 2**64 - 1])
def test_a_size_that_no_file_has_is_refused_before_any_content(length: int) -> None:
    data = encode((MAGIC, b"(", b"type", b"regular", b"contents")) + struct.pack("<Q", length)
    failure = refusal(data)
    assert (failure.code, failure.offset) == (Code.NAR_MALFORMED, len(data) - 8)


def test_the_largest_size_is_announced_without_being_held() -> None:
    """I7: a length is a number, never an allocation."""
    parser = NarParser()
    opening = encode((MAGIC, b"(", b"type", b"regular", b"contents"))
    assert parser.feed(opening + struct.pack("<Q", MAX_SIZE)) == [
        RegularFile(b"", executable=False, size=MAX_SIZE, offset=len(opening) + 8)
    ]
    assert parser.feed(b"abc") == []


@pytest.mark.parametrize("trailing", [b"\0", b"\0" * 8, b"x", nar(File())], ids=["NUL", "NULs", "byte", "second NAR"])
@pytest.mark.parametrize("node", [File(b"x"), Link(b"x"), Tree(), Tree({b"a": Tree()})], ids=repr)
def test_trailing_data_is_refused(node: Node, trailing: bytes) -> None:
    data = nar(node)
    failure = refusal(data + trailing)
    assert (failure.code, failure.offset) == (Code.NAR_TRAILING_DATA, len(data))


def test_every_truncation_is_refused_where_the_bytes_end() -> None:
    for length in range(len(HELLO_NAR)):
        failure = refusal(HELLO_NAR[:length])
        assert (failure.code, failure.offset) == (Code.NAR_MALFORMED, length)
        assert failure.problem == "The archive ends too early."


def test_contents_are_passed_over() -> None:
    """I7: a file is never collected."""
    parser = NarParser()
    data = nar(File(b"x" * 1000))
    parser.feed(data[: data.index(b"x" * 1000)])
    for _ in range(10):
        assert parser.feed(b"x" * 100) == []
        assert parser._pending == b""


def test_the_model_writes_what_it_says() -> None:
    """The tests' own writer against bytes written out by hand."""
    assert nar(File(b"abc", executable=True)) == (
        b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0"
        b"\1\0\0\0\0\0\0\0(\0\0\0\0\0\0\0"
        b"\4\0\0\0\0\0\0\0type\0\0\0\0"
        b"\7\0\0\0\0\0\0\0regular\0"
        b"\x0a\0\0\0\0\0\0\0executable\0\0\0\0\0\0"
        b"\0\0\0\0\0\0\0\0"
        b"\x08\0\0\0\0\0\0\0contents"
        b"\3\0\0\0\0\0\0\0abc\0\0\0\0\0"
        b"\1\0\0\0\0\0\0\0)\0\0\0\0\0\0\0"
    )
    assert list(words(Link(b"t"))) == [b"(", b"type", b"symlink", b"target", b"t", b")"]
