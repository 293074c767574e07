"""The parser against the real one: never laxer than `nix-store --restore`, and stricter only for a stated reason."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nixcache.nar import dump
from tests.nixcache.golden import HELLO_TREE
from tests.nixcache.nar_model import MAGIC, File, Link, Node, Tree, encode, nar, nested, words
from tests.nixcache.outcomes import Failure, outcome, parse_nar
from tests.nixcache.relocated_nix import RelocatedNix
from tests.nixcache.strategies import mutations, nodes

_NUMBERS = itertools.count()


def restored(nix: RelocatedNix, data: bytes) -> Path | None:
    """Return where Nix has unpacked ``data``, or None where it refuses."""
    path = nix.root / f"restored-{next(_NUMBERS)}"
    # Nix 2.8 allocates whatever length a string announces: without a limit a damaged one takes all memory there is.
    restore = 'ulimit -v 2000000; exec nix-store --restore "$0"'
    return path if nix.attempt("sh", "-c", restore, path, data=data).returncode == 0 else None


def judge(nix: RelocatedNix, data: bytes) -> None:
    """Compare both verdicts.

    What ours accepts, Nix restores, and its tree has that very NAR. What ours refuses and Nix restores was not the
    NAR of anything: the tree that comes out has another one. So ours refuses exactly what cannot be reproduced.
    """
    refused = isinstance(outcome(lambda: parse_nar([data])), Failure)
    path = restored(nix, data)
    if not refused:
        assert path is not None, "ours is laxer"
        assert b"".join(dump(path)) == data
    elif path is not None:
        exists = path.is_symlink() or path.exists()  # without a type, Nix 2.8 succeeds and makes nothing
        assert not exists or b"".join(dump(path)) != data, "ours is stricter without a reason"


@settings(max_examples=40)
@given(nodes())
def test_what_ours_writes_and_accepts_nix_restores(nix: RelocatedNix, node: Node) -> None:
    judge(nix, nar(node))


SMALL = Tree({b"a": File(b"hello", executable=True), b"b": Link(b"a"), b"c": Tree({b"d": File(b"x" * 8)})})


@settings(max_examples=60)
@given(mutations(nar(SMALL)))
def test_damaged_bytes(nix: RelocatedNix, data: bytes) -> None:
    judge(nix, data)


@st.composite
def regrammared(draw: st.DrawFn) -> bytes:
    """A NAR whose strings are whole, but not the right ones in the right order."""
    starts: list[Node] = [SMALL, HELLO_TREE, File(b"x"), Link(b"t"), Tree()]
    strings = [MAGIC, *words(draw(st.sampled_from(starts)))]
    tags = [b"(", b")", b"type", b"regular", b"symlink", b"directory", b"executable", b"contents", b"target"]
    tags += [b"entry", b"name", b"node", b"", b"a", b"b", b".", b"..", b"a/b", b"a\0", b"\xff", MAGIC]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(strings) - 1)))
        match draw(st.sampled_from(["drop", "repeat", "replace", "insert", "swap", "run"])):
            case "drop":
                del strings[at : at + 1]
            case "repeat":
                strings[at:at] = strings[at : at + 1]
            case "replace":
                strings[at : at + 1] = [draw(st.sampled_from(tags))]
            case "insert":
                strings.insert(at, draw(st.sampled_from(tags)))
            case "swap":
                strings[at : at + 2] = reversed(strings[at : at + 2])
            case _:
                run = strings[at : at + draw(st.integers(2, 8))]
                strings[at:at] = run
    return encode(strings)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(regrammared())
def test_wrong_strings_in_the_right_encoding(nix: RelocatedNix, data: bytes) -> None:
    judge(nix, data)


FILE = tuple(words(File(b"x")))


def entry(name: bytes, *node: bytes) -> tuple[bytes, ...]:
    return (b"entry", b"(", b"name", name, b"node", *node, b")")


def archive(*strings: bytes) -> bytes:
    return encode((MAGIC, *strings))


def directory(*entries: tuple[bytes, ...]) -> bytes:
    return archive(b"(", b"type", b"directory", *itertools.chain.from_iterable(entries), b")")


STRICTER = {
    "trailing data: outside NarHash it differs from reader to reader, inside it the path installs nowhere": (
        nar(File(b"x")) + b"more"
    ),
    "unsorted names: the newest Nix refuses them": directory(entry(b"b", *FILE), entry(b"a", *FILE)),
    "NUL in a target: the newest Nix refuses it, older ones cut the target there": archive(
        b"(", b"type", b"symlink", b"target", b"a\0b", b")"
    ),
    "65 levels: the newest Nix refuses them": nar(nested(65)),
    "no type": archive(b"(", b")"),
    "no contents": archive(b"(", b"type", b"regular", b")"),
    "contents twice": archive(*FILE[:-1], b"contents", b"y", b")"),
    "executable after contents": archive(*FILE[:-1], b"executable", b"", b")"),
    "executable twice": archive(*FILE[:3], b"executable", b"", b"executable", b"", *FILE[3:]),
    "no target": archive(b"(", b"type", b"symlink", b")"),
    "an entry without a node": directory((b"entry", b"(", b"name", b"a", b")")),
    "an entry with two names": directory((b"entry", b"(", b"name", b"a", *entry(b"b", *FILE)[2:])),
}
"""All that Nix 2.8 restores and ours refuses. Tags left out or doubled are what only the newest Nix refuses."""


@pytest.mark.parametrize("reason", STRICTER)
def test_where_ours_is_stricter(nix: RelocatedNix, reason: str) -> None:
    data = STRICTER[reason]
    assert isinstance(outcome(lambda: parse_nar([data])), Failure)
    assert restored(nix, data) is not None, "no longer stricter: take it off the list"


@pytest.mark.parametrize(
    "node", [nested(64), nested(64, Tree()), Tree({b"n" * 255: File()}), Link(b"t" * 4095)], ids=lambda _: "limit"
)
def test_at_the_limits_both_accept(nix: RelocatedNix, node: Node) -> None:
    assert not isinstance(outcome(lambda: parse_nar([nar(node)])), Failure)
    judge(nix, nar(node))


@pytest.mark.parametrize(
    "data",
    [
        directory(entry(b"n" * 256, *FILE)),
        nar(Link(b"t" * 4096)),
        nar(Link(b"")),
        directory(entry(b"a", *FILE), entry(b"a", *FILE)),
        nar(File(b"x"))[:-17] + b"\1" + nar(File(b"x"))[-16:],
        nar(File(b"x"))[:-1],
        b"",
    ],
    ids=["long name", "long target", "empty target", "name twice", "padding", "truncated", "nothing"],
)
def test_beyond_them_both_refuse(nix: RelocatedNix, data: bytes) -> None:
    assert isinstance(outcome(lambda: parse_nar([data])), Failure)
    assert restored(nix, data) is None
