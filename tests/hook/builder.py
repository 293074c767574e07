"""A builder's machine: configuration in the environment, state directory, and its command line run in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hook.cli import main
from hook.queue.entry import Entry
from hook.queue.view import QueueView
from local.aws import UNCHECKED
from nixcache.store_path import StorePath
from tests.hook.nix import Nix
from tests.hook.service import BUILDER, Service


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


class Builder:
    """``assay``, configured."""

    def __init__(
        self,
        nix: Nix,
        service: Service,
        state_dir: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        self.nix = nix
        self.state_dir = state_dir
        self._monkeypatch = monkeypatch
        self._capfd = capfd
        self.configure(
            ASSAY_CONFIG="",
            ASSAY_BUILDER=str(BUILDER),
            ASSAY_STAGING_BUCKET=service.staging,
            ASSAY_LEDGER_BUCKET=service.ledger,
            ASSAY_CACHE_URL=service.cache_url,
            ASSAY_STATE_DIR=str(state_dir),
            **service.aws.environment(UNCHECKED),
        )

    def configure(self, **variables: str) -> None:
        """Set variables, for this process and those that it starts."""
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def assay(self, *arguments: str) -> Ended:
        """Run a command to its end."""
        self._capfd.readouterr()
        try:
            code = main(arguments)
        except SystemExit as error:
            code = int(error.code or 0)
        said = self._capfd.readouterr()
        return Ended(code, said.out, said.err)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "hook", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )

    def install_hook(self) -> Path:
        """Write the hook script as an administrator would."""
        script = self.nix.directory / "post-build-hook"
        ended = self.assay("hook-script", "--output", str(script))
        assert ended.code == 0, ended.err
        return script

    def entries(self) -> dict[StorePath, Entry]:
        """Return what is queued, the spool included."""
        overview = QueueView(self.state_dir, self.nix.store_dir).overview(limit=10_000)
        assert not overview.set_aside
        return {entry.path: entry for entry in overview.entries}
