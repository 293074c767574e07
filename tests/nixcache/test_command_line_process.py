"""The command line as a process: pipes, signals, encodings; and never a traceback, which `finish` looks for."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from nixcache.signing import SecretKey
from tests.nixcache.command_line import ROOT, finish, run, start
from tests.nixcache.golden import HELLO_LISTING, HELLO_NAR, HELLO_NAR_HASH, HELLO_NARINFO, HELLO_TREE, SECRET_KEY
from tests.nixcache.nar_model import File, Tree, nar, write_tree


def test_every_command_in_turn(tmp_path: Path) -> None:
    """Make a key, sign with it, verify what was signed, look into it and hash it."""
    code, secret, err = run("keygen", "demo-1")
    key = SecretKey.parse(secret.decode())
    assert (code, err) == (0, f"public key: {key.public_key}\n")
    (tmp_path / "key").write_bytes(secret)
    (tmp_path / "claim").write_bytes(HELLO_NARINFO)
    (tmp_path / "nar").write_bytes(HELLO_NAR)
    subject = ("--nar", tmp_path / "nar", "--narinfo")
    code, signed, err = run("sign", *subject, tmp_path / "claim", "--key-file", tmp_path / "key")
    assert (code, err) == (0, "")
    (tmp_path / "signed").write_bytes(signed)
    code, out, _ = run("verify", *subject, tmp_path / "signed")
    assert (code, json.loads(out)["verdict"]) == (0, "verified")
    code, out, _ = run("nar-check", data=HELLO_NAR)
    assert (code, json.loads(out)["narHash"]) == (0, HELLO_NAR_HASH)
    code, out, _ = run("ls", data=HELLO_NAR)
    assert (code, json.loads(out)) == (0, json.loads(HELLO_LISTING))
    assert run("hash", write_tree(HELLO_TREE, tmp_path / "t")) == (0, f"{HELLO_NAR_HASH}\n".encode(), "")


def test_exit_codes(tmp_path: Path) -> None:
    assert run("nar-check", data=HELLO_NAR)[0] == 0
    assert run("nar-check", data=b"garbage")[0] == 1
    assert run("nar-check", "garbage")[0] == 2
    (tmp_path / "narinfo").write_bytes(b"\xff\0garbage")
    code, out, err = run("verify", "--narinfo", tmp_path / "narinfo", "--nar", "/dev/null")
    assert (code, json.loads(out)["code"], err) == (1, "narinfo-malformed", "")
    assert run("verify", "--narinfo", tmp_path / "absent", "--nar", "/dev/null")[::2] == (
        2,
        f"nixcache: {tmp_path}/absent: No such file or directory\n",
    )


def test_a_package_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """Whoever installed the builder's side alone has no PyNaCl."""
    (tmp_path / "nacl.py").write_text("raise ModuleNotFoundError(name='nacl')\n")
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    assert finish(start("keygen", "x", PYTHONPATH=path)) == (
        2,
        b"",
        "nixcache: the Python package nacl is missing: pip install '.[proofs]'\n",
    )


@pytest.mark.parametrize("arguments", [["keygen", "x"], ["ls"], ["nar-check"]])
def test_a_pipe_that_nobody_reads(arguments: list[str]) -> None:
    """As in `… | head -0`: one line on standard error, also where Python flushes only at its end."""
    read, write = os.pipe()
    os.close(read)
    process = start(*arguments, stdout=write)
    os.close(write)
    code, _, err = finish(process, HELLO_NAR)
    assert code == 2
    assert err.endswith("nixcache: standard output: Broken pipe\n")


def test_a_full_disk() -> None:
    with Path("/dev/full").open("wb") as full:
        code, _, err = finish(start("nar-check", stdout=full), HELLO_NAR)
    assert (code, err) == (2, "nixcache: standard output: No space left on device\n")


@pytest.mark.parametrize(("redirection", "name"), [("<&-", "standard input"), (">&-", "standard output")])
def test_a_stream_that_is_closed(redirection: str, name: str) -> None:
    code, _, err = finish(start("nar-check", script=f'exec "$@" {redirection}'), HELLO_NAR)
    assert (code, err) == (2, f"nixcache: {name}: Bad file descriptor\n")


def test_interrupted_it_ends_by_the_signal() -> None:
    """Ctrl-C ends it as it ends any filter, so that the shell's loop around it ends, too."""
    process = start("nar-check")
    assert process.stdin is not None
    # More than a pipe holds: once this is written, the command is reading.
    process.stdin.write(nar(File(bytes(1_000_000)))[:900_000])
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out, err) == (-signal.SIGINT, b"", "")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_names_that_no_terminal_can_show(tmp_path: Path, encoding: str) -> None:
    """A file name is bytes; neither its being in an error nor in a listing may end in a UnicodeEncodeError."""
    fifo = os.fsencode(tmp_path) + b"/a\xff\xc3\xa9"
    os.mkfifo(fifo)
    code, out, err = finish(start("hash", fifo, PYTHONIOENCODING=encoding))
    assert (code, json.loads(out)["code"], err) == (1, "nar-malformed", "")
    assert out.isascii(), "any terminal can show a verdict"
    code, out, _ = finish(start("ls", PYTHONIOENCODING=encoding), nar(Tree({"é".encode(): File()})))
    assert (code, list(json.loads(out)["root"]["entries"])) == (0, ["é"])
    code, out, err = finish(start("hash", fifo + b"\xff", PYTHONIOENCODING=encoding))
    assert (code, out) == (2, b"")
    assert err.endswith("No such file or directory\n")


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    """I8: not in the error for a key file that is nearly right."""
    (tmp_path / "key").write_text(SECRET_KEY[:-2])
    code, out, err = run("sign", "--narinfo", "x", "--nar", "y", "--key-file", tmp_path / "key")
    assert (code, out) == (2, b"")
    assert not any(SECRET_KEY[at : at + 8] in err for at in range(20, len(SECRET_KEY) - 8))
