"""The NAR comes from whoever is faster, and is the same; what is not what the database says is found."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hook.errors import BuilderCode, Cause
from hook.nix_store import DumpFailedError, NixStore, PathInfo
from hook.transfer import nar_source as module
from hook.transfer.nar_source import OWN_WRITER_UP_TO, nar_source
from nixcache.errors import PermanentError
from nixcache.store_path import StorePath
from tests.hook.nix import Nix, derivation


@pytest.fixture
def store(nix: Nix) -> NixStore:
    return NixStore(nix.store_dir)


def _info(nix: Nix, store: NixStore, data: bytes = b"data") -> PathInfo:
    path = nix.add("file", data)
    return store.infos([path])[path]


def _read(store: NixStore, info: PathInfo) -> bytes:
    with nar_source(store, info) as chunks:
        return b"".join(chunks)


def test_both_sources_give_the_same_nar(nix: Nix, store: NixStore, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = derivation("tree", "/bin/mkdir -p $out/a/b; echo x > $out/a/b/c; ln -s c $out/a/b/d; : > $out/empty")
    (path,) = nix.build(tree)
    info = store.infos([path])[path]
    own = _read(store, info)
    monkeypatch.setattr(module, "OWN_WRITER_UP_TO", 0)
    assert own == _read(store, info)


def test_small_ones_start_no_process_and_large_ones_do(
    nix: Nix, store: NixStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = _info(nix, store), _info(nix, store, bytes(OWN_WRITER_UP_TO))
    dumped: list[StorePath] = []

    def dump(_: NixStore, path: StorePath) -> object:
        dumped.append(path)
        raise DumpFailedError("cut")

    monkeypatch.setattr(NixStore, "dump", dump)
    _read(store, small)
    assert dumped == []
    with pytest.raises(DumpFailedError):
        _read(store, large)
    assert dumped == [large.store_path]


def test_on_macos_nix_alone_knows_the_nar(nix: Nix, store: NixStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its case hack renames files in the store, and the NAR has their true names."""
    info = _info(nix, store)

    def dump(*_: object) -> object:
        raise DumpFailedError("asked")

    monkeypatch.setattr(NixStore, "dump", dump)
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(DumpFailedError, match="asked"):
        _read(store, info)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("change", ["hash", "shorter", "longer"])
def test_what_is_not_what_the_database_says_is_corrupt(
    nix: Nix, store: NixStore, monkeypatch: pytest.MonkeyPatch, change: str, *, own: bool
) -> None:
    info = _info(nix, store, b"data" * 1000)
    if not own:
        monkeypatch.setattr(module, "OWN_WRITER_UP_TO", 0)
    match change:
        case "hash":
            info = replace(info, nar_hash=_info(nix, store, b"other").nar_hash)
        case "shorter":
            info = replace(info, nar_size=info.nar_size + 8)
        case _:
            info = replace(info, nar_size=info.nar_size - 8)
    with pytest.raises(PermanentError) as caught:
        _read(store, info)
    assert caught.value.code is BuilderCode.PATH_CORRUPT
    assert info.store_path.base_name in caught.value.problem


def test_a_path_that_is_longer_than_it_should_be_is_not_read_to_its_end(nix: Nix, store: NixStore) -> None:
    info = replace(_info(nix, store, bytes(OWN_WRITER_UP_TO // 2)), nar_size=1000)
    read: list[bytes] = []
    with nar_source(store, info) as chunks, pytest.raises(PermanentError):
        read.extend(chunks)
    assert read == []


@pytest.mark.parametrize("own", [True, False])
def test_a_path_that_is_gone_has_vanished(
    nix: Nix, store: NixStore, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    info = _info(nix, store)
    Path(nix.full(info.store_path)).unlink()
    if not own:
        monkeypatch.setattr(module, "OWN_WRITER_UP_TO", 0)
    with pytest.raises(PermanentError) as caught:
        _read(store, info)
    assert caught.value.code is BuilderCode.PATH_VANISHED


def test_i9_what_our_writer_cannot_read_is_trouble_and_never_the_path_s_fault(nix: Nix, store: NixStore) -> None:
    info = _info(nix, store)
    full = Path(nix.full(info.store_path))
    full.unlink()
    os.mknod(full, 0o140644)
    with pytest.raises(DumpFailedError, match="cannot be read") as caught:
        _read(store, info)
    assert caught.value.cause is Cause.MACHINE


def test_i9_a_file_that_goes_in_the_middle_is_trouble(
    nix: Nix, store: NixStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = _info(nix, store)

    def broken(_: str) -> object:
        raise OSError(5, "Input/output error", "x")

    monkeypatch.setattr("nixcache.nar.dump", broken)
    with pytest.raises(DumpFailedError, match="Input/output error"):
        _read(store, info)
