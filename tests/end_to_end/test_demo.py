"""``make demo``, as somebody runs it: it holds, and leaves nothing behind, also when it is broken off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.local.processes import descendants, still_running

ROOT = Path(__file__).parents[2]


@contextmanager
def demo(temporary: Path, *, path: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "local", "demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Return what the process says up to the line that holds ``words``."""
    assert process.stdout
    told = ""
    while words not in told:
        line = process.stdout.readline()
        assert line, f"{words!r} never came"
        told += line
    return told


def test_with_nix_all_of_it_holds(tmp_path: Path) -> None:
    with demo(tmp_path, path=os.environ["PATH"]) as process:
        told = read_until(process, "Upload:")
        started = descendants(process.pid)
        rest, complaints = process.communicate(timeout=100)
        told += rest
    assert process.returncode == 0, told + complaints
    assert complaints == ""
    assert started
    assert not still_running(started)
    assert "All of it held." in told
    for verdict in (
        "awaiting-quorum: 1 of 2 builders agree",
        "alice: published",
        "rejected: nar-hash-mismatch",
        "rejected: hash-part-mismatch",
        "conflict: ",
        "rejected: reference-not-found",
        "rejected: nar-size-mismatch",
        "rejected: too-large",
        "rejected: narinfo-malformed",
        "PutObject: AccessDenied",
    ):
        assert verdict in told
    assert "\nsubstituters = http://127.0.0.1:" in told
    assert "\ntrusted-public-keys = assay-local-1:" in told
    assert not list(tmp_path.iterdir())


def test_without_nix_it_shows_what_it_can_and_says_what_it_cannot(tmp_path: Path) -> None:
    """Nor has this machine apt-get, so nothing is installed."""
    with demo(tmp_path, path="") as process:
        told, complaints = process.communicate(timeout=100)
    assert process.returncode == 0, told + complaints
    assert "Not shown, since there is no Nix" in told
    assert "rejected: nar-hash-mismatch" in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_broken_off_it_leaves_no_process_and_no_file(tmp_path: Path, number: signal.Signals) -> None:
    with demo(tmp_path, path=os.environ["PATH"]) as process:
        read_until(process, "Build with Nix")
        started = descendants(process.pid)
        assert started
        process.send_signal(number)
        _, complaints = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "Traceback" not in complaints
    assert not still_running(started)
    assert not list(tmp_path.iterdir())
