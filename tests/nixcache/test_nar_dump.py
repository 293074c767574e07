"""The NAR writer: from the disk, byte for byte what the format asks for."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from nixcache.errors import Code, PermanentError
from nixcache.nar import MAX_DEPTH, dump
from tests.nixcache.golden import HELLO_NAR, HELLO_TREE
from tests.nixcache.nar_model import File, Link, Node, Tree, nar, nested, write_tree
from tests.nixcache.strategies import nodes


def test_the_golden_tree(tmp_path: Path) -> None:
    assert b"".join(dump(write_tree(HELLO_TREE, tmp_path / "t"))) == HELLO_NAR


@settings(max_examples=60)
@given(nodes())
def test_any_tree(node: Node) -> None:
    with TemporaryDirectory() as directory:
        assert b"".join(dump(write_tree(node, Path(directory, "t")))) == nar(node)


@pytest.mark.parametrize("node", [File(b"x"), Link(b"nowhere"), Tree()], ids=repr)
def test_a_path_is_text_or_pathlike(node: Node, tmp_path: Path) -> None:
    path = write_tree(node, tmp_path / "t")
    assert b"".join(dump(path)) == b"".join(dump(str(path))) == nar(node)


def test_only_the_owner_decides_what_is_executable(tmp_path: Path) -> None:
    """As Nix: S_IXUSR alone."""
    path = write_tree(File(b"x"), tmp_path / "f")
    path.chmod(0o655)
    assert b"".join(dump(path)) == nar(File(b"x"))
    path.chmod(0o744)
    assert b"".join(dump(path)) == nar(File(b"x", executable=True))


def test_a_large_file_comes_in_pieces(tmp_path: Path) -> None:
    """I7: a file is never held whole."""
    path = tmp_path / "f"
    path.write_bytes(b"x" * (5 * 1024 * 1024 + 3))
    pieces = list(dump(path))
    assert max(map(len, pieces)) == 1024 * 1024
    assert b"".join(pieces) == nar(File(b"x" * (5 * 1024 * 1024 + 3)))


def test_what_a_nar_cannot_hold_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(PermanentError, match="neither a regular file, a directory nor a symlink") as caught:
        list(dump(tmp_path))
    assert caught.value.code is Code.NAR_MALFORMED


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(PermanentError, match="neither"):
            list(dump("s"))


def test_the_deepest_tree_is_written(tmp_path: Path) -> None:
    assert b"".join(dump(write_tree(nested(MAX_DEPTH), tmp_path / "t"))) == nar(nested(MAX_DEPTH))


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1000])
def test_a_deeper_tree_is_refused(depth: int, tmp_path: Path) -> None:
    """No current Nix restores one; and a thousand levels must not end in a RecursionError."""
    levels = [Path(f"{tmp_path}/d{'/d' * level}") for level in range(depth)]
    for level in levels:
        level.mkdir()
    try:
        with pytest.raises(PermanentError, match="deeper than 64 levels") as caught:
            list(dump(levels[0]))
    finally:
        for level in reversed(levels):
            level.rmdir()  # here and now: neither pytest nor shutil removes so deep a tree
    assert caught.value.code is Code.NAR_MALFORMED


def test_a_file_that_shrinks_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * (3 * 1024 * 1024))
    pieces = dump(path)
    for piece in pieces:
        if len(piece) == 1024 * 1024:
            os.truncate(path, 1024 * 1024)
            break
    with pytest.raises(PermanentError, match="shrank while it was read"):
        list(pieces)


def test_a_path_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(dump(tmp_path / "absent"))
