"""Build ids: from the paths of separate debug files, and from nothing that merely looks like one."""

from __future__ import annotations

import pytest

from nixcache import build_ids
from nixcache.build_ids import BuildIdCollector
from tests.nixcache.nar_model import File, Link, Node, Tree, events

ID = b"ab" + b"0123456789abcdef" * 2 + b"012345"


def collected(*roots: Node) -> list[str]:
    collector = BuildIdCollector()
    for root in roots:
        for event in events(root):
            collector.feed([event])
    return list(collector.ids)


def below(*names: bytes, leaf: Node) -> Node:
    for name in reversed(names):
        leaf = Tree({name: leaf})
    return leaf


def test_the_ids_of_an_output_called_debug() -> None:
    files: dict[bytes, Node] = {
        b"0": Tree({b"0": Tree()}),
        ID[2:] + b".debug": File(b"ELF"),
        ID[2:] + b".sourceoverlay": Link(b"/x"),
    }
    more = {b"ab": Tree(files), b"cd": Tree({ID[2:-1] + b"f.debug": File()})}
    root = Tree({b"lib": Tree({b"debug": Tree({b".build-id": Tree(more), b"z": Tree(files)})}), b"share": Tree(files)})
    assert collected(root) == [ID.decode(), f"cd{ID[2:-1].decode()}f"]


@pytest.mark.parametrize(
    "path",
    [
        (b"lib", b"debug", b".build-id", ID[2:] + b".debug"),
        (b"lib", b"debug", b".build-id", b"AB", ID[2:] + b".debug"),
        (b"lib", b"debug", b".build-id", b"abc", ID[2:] + b".debug"),
        (b"lib", b"debug", b".build-id", b"ab", ID[3:] + b".debug"),
        (b"lib", b"debug", b".build-id", b"ab", ID[2:] + b".debug\n"),
        (b"lib", b"debug", b".build-id", b"ab", b"ab", ID[2:] + b".debug"),
        (b"usr", b"lib", b"debug", b".build-id", b"ab", ID[2:] + b".debug"),
    ],
)
def test_what_only_looks_like_one(path: tuple[bytes, ...]) -> None:
    assert collected(below(*path, leaf=File())) == []


def test_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: a builder names as many files so as it likes."""
    monkeypatch.setattr(build_ids, "MAX_BUILD_IDS", 3)
    files: dict[bytes, Node] = {b"%038x.debug" % number: File() for number in range(10)}
    assert len(collected(below(b"lib", b"debug", b".build-id", b"00", leaf=Tree(files)))) == 3
