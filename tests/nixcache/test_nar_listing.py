"""NAR listings: the tree as JSON, or none at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given

from nixcache import nar_listing
from nixcache.nar import DirectoryEnd, DirectoryStart, Event, RegularFile, Symlink
from nixcache.nar_listing import ListingBuilder
from tests.nixcache.golden import HELLO_LISTING, HELLO_TREE
from tests.nixcache.nar_model import File, Link, Node, Tree, events
from tests.nixcache.strategies import nodes


def listing(found: Iterable[Event]) -> bytes | None:
    builder = ListingBuilder()
    builder.feed(found)
    return builder.finish()


def expected(node: Node, offsets: Iterable[int]) -> dict[str, Any]:
    """Return the listing of ``node``, written from the model; ``offsets`` are its files' in order."""
    remaining = iter(offsets)

    def of(inner: Node) -> dict[str, Any]:
        match inner:
            case File(contents=contents, executable=executable):
                flag = {"executable": True} if executable else {}
                return {"type": "regular", "size": len(contents), "narOffset": next(remaining), **flag}
            case Link(target=target):
                return {"type": "symlink", "target": target.decode()}
            case Tree(entries=entries):
                return {"type": "directory", "entries": {name.decode(): of(entries[name]) for name in sorted(entries)}}

    return {"version": 1, "root": of(node)}


def is_text(node: Node) -> bool:
    match node:
        case Link(target=target):
            return is_utf8(target)
        case Tree(entries=entries):
            return all(map(is_utf8, entries)) and all(map(is_text, entries.values()))
        case _:
            return True


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_the_golden_listing() -> None:
    text = listing(events(HELLO_TREE))
    assert text is not None
    assert json.loads(text) == json.loads(HELLO_LISTING)


@given(nodes())
def test_a_listing_says_what_the_tree_is_or_there_is_none(node: Node) -> None:
    found = events(node)
    text = listing(found)
    if is_text(node):
        assert text is not None
        offsets = [event.offset for event in found if isinstance(event, RegularFile)]
        assert json.loads(text) == expected(node, offsets)
    else:
        assert text is None


@pytest.mark.parametrize("name", ['"', "\\", "\n", "é", "\u2028", "\x7f", "a b", "😀"])
def test_names_are_quoted_as_json_wants_them(name: str) -> None:
    """I5: a builder's name is text in the listing, never part of its structure."""
    node = Tree({name.encode(): Link(name.encode())})
    text = listing(events(node))
    assert text is not None
    assert json.loads(text)["root"]["entries"] == {name: {"type": "symlink", "target": name}}


@pytest.mark.parametrize(
    "node",
    [Tree({b"\xff": File()}), Tree({b"a": Link(b"\xff")}), Tree({b"\xed\xa0\x80": File()}), Link(b"\xff")],
    ids=["name", "target", "surrogate", "root"],
)
def test_what_is_no_utf8_has_no_listing(node: Node) -> None:
    assert listing(events(node)) is None


def test_a_listing_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: a NAR of a million entries is published without a listing."""
    monkeypatch.setattr(nar_listing, "MAX_LISTING_SIZE", 2000)
    builder = ListingBuilder()
    builder.feed([DirectoryStart(b"")])
    for number in range(10_000):
        builder.feed([Symlink(b"%06d" % number, b"t")])
        assert len(builder._json) <= 2000
    builder.feed([DirectoryEnd()])
    assert builder.finish() is None
