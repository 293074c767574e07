"""The command line, command by command: what it prints and how it exits. As a process: test_command_line_process."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from pathlib import Path

import pytest

from nixcache.cli import main
from nixcache.compression import Compression
from nixcache.narinfo import MAX_NARINFO_SIZE, NarInfo
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE
from tests.nixcache.claims import claim
from tests.nixcache.command_line import Call, verdict
from tests.nixcache.compressed import compressed
from tests.nixcache.golden import (
    HELLO,
    HELLO_LISTING,
    HELLO_NAR,
    HELLO_NAR_HASH,
    HELLO_NARINFO,
    HELLO_TREE,
    PUBLIC_KEY,
    SECRET_KEY,
    ZLIB,
)
from tests.nixcache.nar_model import File, Tree, nar, write_tree


@pytest.fixture
def submission(tmp_path: Path) -> list[str | Path]:
    """The arguments that name the golden narinfo and NAR."""
    (tmp_path / "narinfo").write_bytes(HELLO_NARINFO)
    (tmp_path / "nar").write_bytes(HELLO_NAR)
    return ["--narinfo", tmp_path / "narinfo", "--nar", tmp_path / "nar"]


def test_verify_accepts(call: Call, submission: list[str | Path]) -> None:
    assert verdict(call("verify", *submission), 0) == {
        "verdict": "verified",
        "storePath": f"/nix/store/{HELLO}",
        "narHash": HELLO_NAR_HASH,
        "narSize": 976,
        "fileHash": HELLO_NAR_HASH,
        "fileSize": 976,
        "references": [ZLIB, HELLO],
        "undeclared": [],
        "moreUndeclared": False,
        "buildIds": [],
        "ca": None,
    }


def test_verify_tells_what_the_bytes_mention_and_nobody_declared(call: Call, tmp_path: Path) -> None:
    path = f"{ZLIB}/lib".encode()
    build_id = b"ab" + b"0" * 38
    debug = Tree({b".build-id": Tree({build_id[:2]: Tree({build_id[2:] + b".debug": File(b"/nix/store/" + path)})})})
    data = nar(Tree({b"lib": Tree({b"debug": debug})}))
    (tmp_path / "narinfo").write_bytes(claim(data).render())
    (tmp_path / "nar").write_bytes(data)
    document = verdict(call("verify", "--narinfo", tmp_path / "narinfo", "--nar", tmp_path / "nar"), 0)
    assert (document["undeclared"], document["moreUndeclared"]) == ([ZLIB], False)
    assert document["buildIds"] == [build_id.decode()]


@pytest.mark.parametrize("method", ["zstd", "xz"])
def test_verify_decompresses(call: Call, tmp_path: Path, method: str) -> None:
    data = nar(File(b"x"))
    file = compressed(Compression(method), data)
    (tmp_path / "narinfo").write_bytes(claim(data, file=file, compression=Compression(method)).render())
    (tmp_path / "nar").write_bytes(file)
    document = verdict(call("verify", "--narinfo", tmp_path / "narinfo", "--nar", tmp_path / "nar"), 0)
    assert (document["narSize"], document["fileSize"]) == (len(data), len(file))


def test_verify_rejects_a_wrong_nar(call: Call, submission: list[str | Path], tmp_path: Path) -> None:
    (tmp_path / "nar").write_bytes(HELLO_NAR.replace(b"echo", b"exho"))
    document = verdict(call("verify", *submission), 1)
    assert (document["verdict"], document["code"], document["field"]) == (
        "rejected",
        "file-hash-mismatch",
        "FileHash",
    )
    assert document["problem"]
    assert document["remedy"]


def test_verify_rejects_a_malformed_narinfo(call: Call, submission: list[str | Path], tmp_path: Path) -> None:
    (tmp_path / "narinfo").write_bytes(b"StorePath: /nix/store/x\n")
    assert verdict(call("verify", *submission), 1) == {
        "verdict": "rejected",
        "code": "narinfo-malformed",
        "problem": "URL is missing.",
        "remedy": "Write the narinfo as Nix itself does.",
        "field": "URL",
        "offset": None,
    }


@pytest.mark.parametrize("narinfo", [b"", b"\0" * 100, b"\xff" * 100, b"x" * (MAX_NARINFO_SIZE + 10)])
def test_verify_rejects_garbage(call: Call, submission: list[str | Path], tmp_path: Path, narinfo: bytes) -> None:
    (tmp_path / "narinfo").write_bytes(narinfo)
    assert verdict(call("verify", *submission), 1)["code"] == "narinfo-malformed"


def test_verify_in_another_store_dir(call: Call, tmp_path: Path) -> None:
    (tmp_path / "narinfo").write_bytes(HELLO_NARINFO.replace(b"/nix/store", b"/s"))
    (tmp_path / "nar").write_bytes(HELLO_NAR)
    arguments = ["--narinfo", tmp_path / "narinfo", "--nar", tmp_path / "nar"]
    assert verdict(call("verify", *arguments, "--store-dir", "/s"), 0)["storePath"] == f"/s/{HELLO}"
    assert verdict(call("verify", *arguments), 1)["field"] == "StorePath"


@pytest.mark.parametrize("store_dir", ["", "nix/store", "/nix/store/", "/nix/../store"])
def test_a_bad_store_dir_is_bad_usage(call: Call, submission: list[str | Path], store_dir: str) -> None:
    code, out, err = call("verify", *submission, "--store-dir", store_dir)
    assert (code, out) == (2, "")
    assert "is not a store dir" in err


def test_sign_prints_the_narinfo_to_publish(call: Call, submission: list[str | Path], tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET_KEY + "\n")
    unsigned = b"".join(line for line in HELLO_NARINFO.splitlines(keepends=True) if not line.startswith(b"Sig:"))
    (tmp_path / "narinfo").write_bytes(unsigned)
    assert call("sign", *submission, "--key-file", tmp_path / "key") == (0, HELLO_NARINFO.decode(), "")


def test_sign_signs_nothing_unproven(call: Call, submission: list[str | Path], tmp_path: Path) -> None:
    """I1: on the command line, too."""
    (tmp_path / "key").write_text(SECRET_KEY)
    (tmp_path / "nar").write_bytes(HELLO_NAR[:-1])
    answer = call("sign", *submission, "--key-file", tmp_path / "key")
    assert verdict(answer, 1)["code"] == "file-size-mismatch"
    assert "Sig:" not in answer[1]


@pytest.mark.parametrize("key", [b"", b"name", SECRET_KEY[:-5].encode(), SECRET_KEY.encode() + b"\xff"])
def test_a_malformed_key_file_is_bad_usage(
    call: Call, submission: list[str | Path], tmp_path: Path, key: bytes
) -> None:
    """I8: and is not quoted."""
    (tmp_path / "key").write_bytes(key)
    code, out, err = call("sign", *submission, "--key-file", tmp_path / "key")
    assert (code, out) == (2, "")
    assert str(tmp_path / "key") in err
    assert SECRET_KEY[30:50] not in err


def test_nar_check_accepts(call: Call) -> None:
    assert verdict(call("nar-check", data=HELLO_NAR), 0) == {
        "verdict": "well-formed",
        "narHash": HELLO_NAR_HASH,
        "narSize": 976,
    }


@pytest.mark.parametrize(
    ("data", "code", "offset"),
    [
        (b"", "nar-malformed", 0),
        (b"garbage", "nar-malformed", 0),
        (HELLO_NAR[:-1], "nar-malformed", 975),
        (HELLO_NAR + b"x", "nar-trailing-data", 976),
    ],
)
def test_nar_check_rejects(call: Call, data: bytes, code: str, offset: int) -> None:
    document = verdict(call("nar-check", data=data), 1)
    assert (document["code"], document["offset"]) == (code, offset)


def test_ls_prints_the_listing(call: Call) -> None:
    assert verdict(call("ls", data=HELLO_NAR), 0) == json.loads(HELLO_LISTING)


def test_ls_rejects_what_is_no_nar(call: Call) -> None:
    assert verdict(call("ls", data=b"garbage"), 1)["code"] == "nar-malformed"


def test_ls_says_that_there_is_no_listing(call: Call) -> None:
    code, out, err = call("ls", data=nar(Tree({b"\xff": File()})))
    assert (code, out) == (1, "")
    assert "names that are no UTF-8" in err


def test_hash_of_a_tree_is_its_nar_hash(call: Call, tmp_path: Path) -> None:
    assert call("hash", write_tree(HELLO_TREE, tmp_path / "t")) == (0, f"{HELLO_NAR_HASH}\n", "")


def test_hash_of_a_file_itself(call: Call, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    code, out, _ = call("hash", "--flat", tmp_path / "f")
    assert (code, out) == (0, "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s\n")
    assert hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf")


def test_hash_refuses_what_no_nar_holds(call: Call, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert verdict(call("hash", tmp_path / "fifo"), 1)["code"] == "nar-malformed"


def test_keygen_prints_a_key_that_signs(call: Call) -> None:
    code, out, err = call("keygen", "cache.example.org-1")
    key = SecretKey.parse(out)
    assert (code, key.name) == (0, "cache.example.org-1")
    assert err == f"public key: {key.public_key}\n"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ä", "n" * 256])
def test_a_bad_key_name_is_bad_usage(call: Call, name: str) -> None:
    code, out, err = call("keygen", name)
    assert (code, out) == (2, "")
    assert "neither space nor colon" in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["verify"],
        ["verify", "--narinfo", "x"],
        ["sign", "--narinfo", "x", "--nar", "y"],
        ["hash"],
        ["keygen"],
        ["provenance", "--envelope", "x"],
        ["provenance", "--public-key", PUBLIC_KEY],
        ["nar-check", "file"],
        ["--flat"],
    ],
)
def test_wrong_arguments_are_bad_usage(call: Call, arguments: list[str]) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: nixcache")


def test_help_names_every_command_and_the_exit_codes(call: Call) -> None:
    code, out, _ = call("--help")
    assert code == 0
    commands = ("verify", "sign", "provenance", "nar-check", "ls", "hash", "keygen")
    for word in (*commands, "0 verified or done, 1 rejected, 2 usage"):
        assert word in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--narinfo", "absent", "--nar", "absent"],
        ["sign", "--narinfo", "absent", "--nar", "absent", "--key-file", "absent"],
        ["provenance", "--envelope", "absent", "--public-key", PUBLIC_KEY],
        ["hash", "absent"],
        ["hash", "--flat", "absent"],
        ["hash", "--flat", "."],
    ],
)
def test_files_that_cannot_be_read_are_bad_usage(
    call: Call, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(("nixcache: absent: No such file", "nixcache: .: Is a directory"))
    assert err.count("\n") == 1


def test_a_nar_that_is_not_there_is_bad_usage(call: Call, submission: list[str | Path]) -> None:
    code, out, err = call("verify", *submission[:3], "absent")
    assert (code, out, err) == (2, "", "nixcache: absent: No such file or directory\n")


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_a_closed_stream_is_bad_usage(
    stream: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python has None in place of a stream that was closed before it started."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(HELLO_NAR)))
    monkeypatch.setattr(sys, stream, None)
    assert main(["nar-check"]) == 2
    name = {"stdin": "standard input", "stdout": "standard output"}[stream]
    assert capsys.readouterr().err == f"nixcache: {name}: Bad file descriptor\n"


def test_an_error_without_a_file_name_is_told_without_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Broken()))
    assert main(["nar-check"]) == 2
    assert capsys.readouterr().err == "nixcache: Input/output error\n"


def test_a_broken_pipe_is_bad_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["keygen", "x"]) == 2
    assert "nixcache: standard output: Broken pipe\n" in capsys.readouterr().err


def test_what_is_printed_is_what_the_library_says(call: Call, submission: list[str | Path], tmp_path: Path) -> None:
    """The signed text reads back as a narinfo that the key's public half signs."""
    key = SecretKey.generate("k-1")
    (tmp_path / "key").write_text(key.reveal())
    _, out, _ = call("sign", *submission, "--key-file", tmp_path / "key")
    assert NarInfo.parse(out.encode(), NIX_STORE).is_signed_by(key.public_key)
