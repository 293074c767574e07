"""The writer against the real one: `nix-store --dump`, and the hashes that follow."""

from __future__ import annotations

import os
from pathlib import Path

from nixcache.hashes import Hash
from nixcache.nar import dump
from tests.nixcache.claims import sha256
from tests.nixcache.nar_model import File, Link, Node, Tree, nar, nested, write_tree
from tests.nixcache.relocated_nix import RelocatedNix

ODD_NAMES = [b"a", b"A", b"a b", b"a.b", b"a-b", b"...", b"~", b"\n", b'"', b"\\", b"\xff\xfe", b"\xc3\xa9", b"x" * 255]
EVERYTHING = Tree(
    {
        **{b"size%02d" % size: File(os.urandom(size)) for size in range(18)},
        b"executable": File(b"#!/bin/sh\n", executable=True),
        b"empty": File(),
        b"empty executable": File(executable=True),
        b"empty directory": Tree(),
        b"link": Link(b"nowhere/../at all"),
        b"odd link": Link(b"\xff\n"),
        b"long link": Link(b"t" * 4095),
        b"odd names": Tree({name: File(name) for name in ODD_NAMES}),
        b"nested": nested(60),
        b"large": File(os.urandom(3 * 1024 * 1024 + 5)),
    }
)


def test_every_kind_of_node(nix: RelocatedNix, tmp_path: Path) -> None:
    path = write_tree(EVERYTHING, tmp_path / "t")
    theirs = nix.run("nix-store", "--dump", path)
    assert b"".join(dump(path)) == theirs
    assert nar(EVERYTHING) == theirs, "the tests' own writer is judged, too"


def test_a_root_of_every_kind(nix: RelocatedNix, tmp_path: Path) -> None:
    roots: list[Node] = [File(b"x"), File(b"x" * 8, executable=True), Link(b"nowhere"), Tree()]
    for number, node in enumerate(roots):
        path = write_tree(node, tmp_path / str(number))
        assert b"".join(dump(path)) == nix.run("nix-store", "--dump", path)


def test_modes_are_read_alike(nix: RelocatedNix, tmp_path: Path) -> None:
    for mode in (0o400, 0o500, 0o644, 0o655, 0o744, 0o755, 0o4755, 0o100, 0o677):
        path = tmp_path / f"{mode:o}"
        path.write_bytes(b"x")
        path.chmod(mode)
    assert b"".join(dump(tmp_path)) == nix.run("nix-store", "--dump", tmp_path)


def test_the_nar_hash_is_what_nix_says(nix: RelocatedNix, tmp_path: Path) -> None:
    # Nix 2.26 overflows its stack when it adds what is 60 levels deep.
    shallow = {name: node for name, node in EVERYTHING.entries.items() if name != b"nested"}
    path = write_tree(Tree(shallow), tmp_path / "t")
    ours = sha256(b"".join(dump(path)))
    assert nix.line("nix-hash", "--type", "sha256", "--base32", path) == ours.nix32
    assert nix.line("nix-hash", "--type", "sha256", path) == ours.hex
    assert Hash.parse(nix.line("nix", "hash", "path", path)) == ours, "SRI"
    added = nix.line("nix-store", "--add", path)
    assert nix.line("nix-store", "-q", "--hash", added) == str(ours)
    assert nix.line("nix-store", "-q", "--size", added) == str(len(b"".join(dump(path))))
