"""What the tests of nixcache share: real Nix, and its command line in this process."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import pytest

from nixcache.cli import main
from tests.nixcache.command_line import Answer, Call
from tests.nixcache.relocated_nix import RelocatedNix


@pytest.fixture(scope="session")
def nix(tmp_path_factory: pytest.TempPathFactory) -> RelocatedNix:
    """Return real Nix with a store of its own. Without Nix the tests fail: skipped, they would prove nothing."""
    if shutil.which("nix-store") is None or shutil.which("nix") is None:
        pytest.fail("Nix is not on PATH: these tests compare with the real one. On Debian: apt-get install nix-bin")
    return RelocatedNix(tmp_path_factory.mktemp("nix"))


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call main() as the command line does, with ``data`` on standard input."""

    def call_main(*arguments: str | Path, data: bytes = b"") -> Answer:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call_main
