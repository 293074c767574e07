"""NARs that generations of Nix judge differently, one by one, and who restores them."""

from __future__ import annotations

import itertools
import struct
from typing import NamedTuple

from tests.nixcache.nar_model import MAGIC, File, Link, Tree, encode, nar, nested, words


class NarTrap(NamedTuple):
    """A NAR, whether Assay accepts it, and the generations that restore anything from it."""

    name: str
    data: bytes
    restored_by: tuple[str, ...] = ()
    accepted: bool = False


FILE = tuple(words(File(b"x")))


def entry(name: bytes, *node: bytes) -> tuple[bytes, ...]:
    """Return the strings of a directory's entry."""
    return (b"entry", b"(", b"name", name, b"node", *node, b")")


def archive(*strings: bytes) -> bytes:
    """Return a NAR of these strings, whatever they mean."""
    return encode((MAGIC, *strings))


def directory(*entries: tuple[bytes, ...]) -> bytes:
    """Return a NAR of a directory with these entries."""
    return archive(b"(", b"type", b"directory", *itertools.chain.from_iterable(entries), b")")


ALL = ("2.8", "2.26", "2.34")
OLD = ("2.8", "2.26")
OLDEST = ("2.8",)

TRAPS = [
    # At the limits.
    NarTrap("64 levels", nar(nested(64)), ALL, accepted=True),
    NarTrap("64 levels, the last a directory", nar(nested(64, Tree())), ALL, accepted=True),
    NarTrap("a name of 255 bytes", nar(Tree({b"n" * 255: File()})), ALL, accepted=True),
    NarTrap("a target of 4095 bytes", nar(Link(b"t" * 4095)), ALL, accepted=True),
    NarTrap("10,000 entries", nar(Tree({b"%05d" % number: File() for number in range(10_000)})), ALL, accepted=True),
    NarTrap(
        "names of all bytes",
        nar(Tree({bytes([byte]): File() for byte in range(1, 256) if byte not in b"./"})),
        ALL,
        accepted=True,
    ),
    NarTrap("names that differ in case", nar(Tree({b"A": File(), b"a": File()})), ALL, accepted=True),
    NarTrap("names like those of the case hack", nar(Tree({b"a~nix~case~hack~1": File()})), ALL, accepted=True),
    # What is stricter than some generation, or than all.
    NarTrap("trailing data", nar(File(b"x")) + b"more", ALL),
    NarTrap("a second archive", nar(File(b"x")) * 2, ALL),
    NarTrap("65 levels", nar(nested(65)), OLD),
    NarTrap("unsorted names", directory(entry(b"b", *FILE), entry(b"a", *FILE)), OLDEST),
    NarTrap("NUL in a target", archive(b"(", b"type", b"symlink", b"target", b"a\0b", b")"), OLD),
    NarTrap("no type", archive(b"(", b")"), OLDEST),
    NarTrap("no contents", archive(b"(", b"type", b"regular", b")"), OLDEST),
    NarTrap("contents twice", archive(*FILE[:-1], b"contents", b"y", b")"), OLDEST),
    NarTrap("executable after contents", archive(*FILE[:-1], b"executable", b"", b")"), OLDEST),
    NarTrap("executable twice", archive(*FILE[:3], b"executable", b"", b"executable", b"", *FILE[3:]), OLDEST),
    NarTrap("no target", archive(b"(", b"type", b"symlink", b")"), OLDEST),
    NarTrap("an entry without a node", directory((b"entry", b"(", b"name", b"a", b")")), OLDEST),
    NarTrap("an entry with two names", directory((b"entry", b"(", b"name", b"a", *entry(b"b", *FILE)[2:])), OLDEST),
    # What nobody restores.
    NarTrap("nothing", b""),
    NarTrap("a name of 256 bytes", directory(entry(b"n" * 256, *FILE))),
    NarTrap("a target of 4096 bytes", nar(Link(b"t" * 4096))),
    NarTrap("an empty target", nar(Link(b""))),
    NarTrap("an empty name", directory(entry(b"", *FILE))),
    NarTrap("a name with a slash", directory(entry(b"a/b", *FILE))),
    NarTrap("a name with NUL", directory(entry(b"a\0", *FILE))),
    NarTrap("the name .", directory(entry(b".", *FILE))),
    NarTrap("the name ..", directory(entry(b"..", *FILE))),
    NarTrap("a name twice", directory(entry(b"a", *FILE), entry(b"a", *FILE))),
    NarTrap("a directory under a symlink's name", directory(entry(b"a", *words(Link(b"/"))), entry(b"a", *FILE))),
    NarTrap("padding that is not zero", nar(File(b"x"))[:-17] + b"\1" + nar(File(b"x"))[-16:]),
    NarTrap("one byte missing", nar(File(b"x"))[:-1]),
    NarTrap("a file of 2^63 bytes", encode((MAGIC, *FILE[:4])) + struct.pack("<Q", 2**63) + b"x"),
    NarTrap("a file of 2^64 - 1 bytes", encode((MAGIC, *FILE[:4])) + struct.pack("<Q", 2**64 - 1) + b"x"),
    NarTrap("an executable that is not empty", archive(*FILE[:3], b"executable", b"x", *FILE[3:])),
]
