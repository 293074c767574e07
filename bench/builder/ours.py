"""Ours, through the command line alone, as a user has it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.builder.machine import Machine
from bench.builder.processes import Metered, run
from local.service import LocalService
from protocol.keys import BuilderName

ALICE: Final = BuilderName("alice")

_POLL_SECONDS: Final = 0.02


class Ours:
    """One builder with an empty queue."""

    def __init__(self, service: LocalService, machine: Machine, directory: Path, *, cache_url: str) -> None:
        """Configure it in ``directory``, which must exist, and write its hook; ``cache_url`` is where it looks up."""
        settings = service.deployment.settings
        self.staging_bucket = settings.staging_bucket
        self._state_dir = directory / "state"
        config = directory / "builder.toml"
        config.write_text(
            f'builder = "{ALICE}"\n'
            f'staging_bucket = "{settings.staging_bucket}"\n'
            f'ledger_bucket = "{settings.ledger_bucket}"\n'
            f'cache_url = "{cache_url}"\n'
            f'state_dir = "{self._state_dir}"\n'
        )
        self._environment: Mapping[str, str] = {
            **machine.environment,
            **service.aws.environment(service.deployment.builders[ALICE]),
            "ASSAY_CONFIG": str(config),
        }
        self.hook = directory / "hook"
        run(*_command("hook-script", "--output", str(self.hook)), environment=self._environment)

    def wait_until_owned(self, daemon: Metered, timeout: float) -> None:
        """Wait until ``daemon`` looks after the queue; raises SystemExit when it ends, or ``timeout`` seconds do."""
        deadline = time.monotonic() + timeout
        while not (self._state_dir / "uploader.lock").exists():
            if not daemon.running or time.monotonic() > deadline:
                raise SystemExit(f"bench: `assay daemon` does not start:\n{daemon.complaint()}")
            time.sleep(_POLL_SECONDS)

    def daemon(self) -> Metered:
        """Start the uploader that runs for ever, at the priority that its systemd unit gives it."""
        return Metered(("nice", "-n", "10", *_command("daemon")), self._environment)

    def upload_once(self) -> Metered:
        """Start the one that ends with the last verdict."""
        return Metered(_command("upload", "--once"), self._environment)


def _command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "hook", *arguments)
