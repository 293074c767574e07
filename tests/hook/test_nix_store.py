"""Metadata of store paths: from the real Nix here, and from what other generations were seen to print."""

from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path

import pytest

from hook.errors import BuilderCode, Cause, Trouble
from hook.nix_store import DumpFailedError, NixStore
from nixcache.errors import PermanentError
from nixcache.hashes import Hash
from nixcache.store_path import NIX_STORE, StoreDir, StorePath
from tests.hook.nix import FLOATING, Nix, derivation

GONE = StorePath.from_base_name(f"{'0' * 32}-gone")
_PATH = "/nix/store/walcj9hisbih7ag1n0kyy6m30cw02xrs-top-dev"
_CA_PATH = "/nix/store/zcib98vyn5cklay7aaqzz66x5p7kw80w-b"
_CA = "fixed:r:sha256:15apcm9ksmd22hmxkmnncndgx1mx55nfan199rvbam8ygycr671b"


def test_infos_are_what_nix_itself_tells(nix: Nix) -> None:
    dep = derivation("dep", "echo hello > $out")
    top = derivation("top", "echo ${dep} $out > $out")
    (path,) = nix.build(f"let dep = {dep}; in {top}")
    closure = nix.closure(path)
    infos = NixStore(nix.store_dir).infos(closure)
    assert infos.keys() == closure
    said = json.loads(nix.run("nix", "path-info", "--json", *map(nix.full, closure)).stdout)
    for document in said:
        info = infos[nix.store_dir.parse(document["path"])]
        assert [nix.full(reference) for reference in info.references] == sorted(document["references"])
        assert info.nar_size == document["narSize"]
        assert info.deriver
        assert nix.full(info.deriver) == document["deriver"]
        assert info.nar_hash == Hash.parse(document["narHash"])
    assert path in infos[path].references, "a path may refer to itself"


def test_a_path_without_deriver_has_none(nix: Nix) -> None:
    path = nix.add("file", b"data")
    assert NixStore(nix.store_dir).infos([path])[path].deriver is None


def test_paths_that_are_gone_are_left_out_and_the_others_are_not(nix: Nix) -> None:
    path = nix.add("file", b"data")
    assert set(NixStore(nix.store_dir).infos([GONE, path])) == {path}


def test_more_paths_than_one_call_takes(nix: Nix) -> None:
    many = derivation("n${toString n}", "echo ${toString n} > $out")
    paths = nix.build(f"builtins.genList (n: {many}) 30", jobs=2)
    store = NixStore(nix.store_dir, paths_per_call=7)
    assert set(store.infos(paths)) == set(paths)
    assert store.content_addresses(paths) == {}


def test_content_addresses_are_told_for_those_that_have_one(nix: Nix) -> None:
    (plain,) = nix.build(derivation("plain", "echo hello > $out"))
    (floating,) = nix.build(derivation("floating", "echo hello > $out", more=FLOATING))
    added = nix.add("file", b"data")
    found = NixStore(nix.store_dir).content_addresses([plain, floating, added])
    assert set(found) == {floating, added}
    assert all(ca.startswith("fixed:r:sha256:") for ca in found.values())


@pytest.mark.parametrize("more", ["", FLOATING], ids=["input-addressed", "floating"])
def test_outputs_of_a_derivation_that_was_built(nix: Nix, more: str) -> None:
    expression = derivation("x", "echo 1 > $out; echo 2 > $dev", outputs="out dev", more=more)
    drv = nix.store_dir.parse(nix.run("nix-instantiate", "-E", expression).stdout.strip())
    built = nix.build(f"let x = {expression}; in [ x.out x.dev ]")
    assert sorted(NixStore(nix.store_dir).outputs(drv)) == sorted(built)


def test_the_dump_is_the_nar_and_says_when_its_path_is_gone(nix: Nix) -> None:
    path = nix.add("file", b"data" * 500_000)
    store = NixStore(nix.store_dir)
    with store.dump(path) as chunks:
        pieces = list(chunks)
    assert sum(map(len, pieces)) == store.infos([path])[path].nar_size
    assert len(pieces) > 1
    with store.dump(GONE) as chunks, pytest.raises(PermanentError) as caught:
        list(chunks)
    assert caught.value.code is BuilderCode.PATH_VANISHED
    assert nix.full(GONE) in caught.value.problem


def test_i9_a_dump_that_is_killed_is_trouble_and_never_the_path_s_fault(nix: Nix) -> None:
    path = nix.add("file", bytes(5_000_000))
    with NixStore(nix.store_dir).dump(path) as chunks:
        next(chunks)
        (child,) = _children()
        os.kill(child, signal.SIGKILL)
        with pytest.raises(DumpFailedError, match="exit code -9") as caught:
            list(chunks)
    assert caught.value.cause is Cause.MACHINE


def test_a_dump_that_fails_for_another_reason_says_what_nix_said(nix: Nix) -> None:
    path = nix.add("file", b"data")
    # A socket has no NAR; nothing else makes even root's dump fail.
    full = Path(nix.full(path))
    full.unlink()
    os.mknod(full, 0o140644)
    with NixStore(nix.store_dir).dump(path) as chunks, pytest.raises(DumpFailedError, match="unsupported type"):
        list(chunks)


def test_a_dump_that_nobody_reads_to_its_end_leaves_no_process(nix: Nix) -> None:
    path = nix.add("file", bytes(5_000_000))
    with NixStore(nix.store_dir).dump(path) as chunks:
        next(chunks)
    assert _children() == []


def _children() -> list[int]:
    """Return this process's dumps."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(child) for child in children if b"--dump" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_nix_that_is_not_there_is_trouble_that_may_pass(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="cannot be started") as caught:
        NixStore(NIX_STORE, bin_dir=tmp_path).infos([GONE])
    assert caught.value.cause is Cause.MACHINE
    assert "nix_bin_dir" in caught.value.remedy


def _pretend(directory: Path, **programs: str) -> NixStore:
    """Return a store whose programs say what they are told to."""
    for name, script in programs.items():
        program = directory / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    return NixStore(NIX_STORE, bin_dir=directory)


_NO_JSON_FORMAT = """\
case "$*" in *--json-format*) echo "error: unrecognised flag '--json-format'" >&2; exit 1;; esac
"""
_2_8 = f'[{{"path":"{_PATH}","narSize":1}},{{"path":"{_CA_PATH}","ca":"{_CA}"}}]'
_2_26 = f'{{"{_PATH}":{{"ca":null,"signatures":[]}},"{_CA_PATH}":{{"ca":"{_CA}"}},"/nix/store/{GONE.base_name}":null}}'
_2_34 = f'{{"{_PATH}":{{"ca":null,"version":1}},"{_CA_PATH}":{{"ca":"{_CA}","storeDir":"/nix/store","version":1}}}}'


@pytest.mark.parametrize(
    "script",
    [
        f"{_NO_JSON_FORMAT}echo '{_2_8}'",
        f"{_NO_JSON_FORMAT}echo '{_2_26}'",
        f"case \"$*\" in *'--json-format 1'*) echo '{_2_34}';; *) echo 'error: give --json-format' >&2; exit 1;; esac",
    ],
    ids=["2.8", "2.26", "2.34"],
)
def test_every_generation_s_path_info_is_understood(tmp_path: Path, script: str) -> None:
    store = _pretend(tmp_path, nix=script)
    ca_path = NIX_STORE.parse(_CA_PATH)
    for _ in range(2):
        assert store.content_addresses([NIX_STORE.parse(_PATH), ca_path]) == {ca_path: _CA}


@pytest.mark.parametrize("said", ["", "{", "7", '[{"narSize": 1}]', '{"x": 7}', "null"])
def test_a_path_info_of_another_shape_is_reported_as_such(tmp_path: Path, said: str) -> None:
    with pytest.raises(PermanentError) as caught:
        _pretend(tmp_path, nix=f"echo '{said}'").content_addresses([GONE])
    assert caught.value.code is BuilderCode.NIX_OUTPUT_UNKNOWN


_HASH = "10551daed7fa467d0b58826e7eb9a0f2af7d693de319f2ef775fffcda244b9f6"


@pytest.mark.parametrize(
    "lines",
    [
        ["/nix/store/short", _HASH, "120", "", "0"],
        [_PATH, "nohash", "120", "", "0"],
        [_PATH, _HASH, "large", "", "0"],
        [_PATH, _HASH, "120", "unknown", "0"],
        [_PATH, _HASH, "120", "", "1"],
        [_PATH, _HASH, "120", "", "many"],
        [_PATH, _HASH],
        [_PATH, _HASH, "120", "", "0", "more"],
        ["/gnu/store/walcj9hisbih7ag1n0kyy6m30cw02xrs-top", _HASH, "120", "", "0"],
    ],
)
def test_a_dump_db_of_another_shape_is_reported_as_such(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "said").write_text("".join(f"{line}\n" for line in lines))
    store = _pretend(tmp_path, nix_store=f"while read -r line; do echo \"$line\"; done < '{tmp_path}/said'")
    with pytest.raises(PermanentError) as caught:
        store.infos([NIX_STORE.parse(_PATH)])
    assert caught.value.code is BuilderCode.NIX_OUTPUT_UNKNOWN


def test_a_nix_that_fails_altogether_is_not_taken_for_a_path_that_is_gone(tmp_path: Path) -> None:
    store = _pretend(tmp_path, nix_store="echo 'error: cannot open the database' >&2; exit 1")
    with pytest.raises(PermanentError, match="cannot open the database") as caught:
        store.infos([GONE])
    assert caught.value.code is BuilderCode.NIX_FAILED


def test_another_store_dir_is_the_one_that_nix_uses(nix: Nix) -> None:
    path = nix.add("file", b"data")
    with pytest.raises(PermanentError):
        NixStore(StoreDir("/elsewhere")).infos([path])


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EAGAIN, "processes"), (errno.EMFILE, "open files"), (errno.ENOEXEC, "bin_dir")],
)
def test_whatever_keeps_nix_from_being_started_is_trouble(
    monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("subprocess.Popen", exhausted)
    with pytest.raises(Trouble, match="cannot be started") as caught:
        NixStore(NIX_STORE).infos([GONE])
    assert caught.value.cause is Cause.MACHINE
    assert remedy in caught.value.remedy
