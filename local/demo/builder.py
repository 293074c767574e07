"""The builder's side: hook and uploader, set up and used as a user would, through Assay's command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from local.aws import PROJECT_ROOT
from local.demo.story import DemoError
from local.service import LocalService
from protocol.keys import BuilderName

_COMMAND_SECONDS: Final = 300


class Builder:
    """One builder's configuration, credentials, queue and hook script."""

    def __init__(self, service: LocalService, name: BuilderName, directory: Path) -> None:
        """Write the configuration into ``directory``, which must exist, and the queue belongs there, too."""
        settings = service.deployment.settings
        config = directory / "builder.toml"
        config.write_text(
            f'builder = "{name}"\n'
            f'staging_bucket = "{settings.staging_bucket}"\n'
            f'ledger_bucket = "{settings.ledger_bucket}"\n'
            f'cache_url = "{service.cache_url}"\n'
            f'state_dir = "{directory}/state"\n'
        )
        self.hook = directory / "post-build-hook"
        """What nix.conf names as ``post-build-hook``."""
        self._environment = {
            **service.aws.environment(service.deployment.builders[name]),
            "ASSAY_CONFIG": str(config),
        }

    def assay(self, machine: Mapping[str, str], *arguments: str) -> str:
        """Run a command on a machine with those variables; return what it printed. Raises :class:`DemoError`."""
        process = subprocess.run(
            [sys.executable, "-m", "hook", *arguments],
            cwd=PROJECT_ROOT,
            env={**machine, **self._environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        if process.returncode != 0:
            raise DemoError(
                f"`assay {' '.join(arguments)}` ended with exit {process.returncode}:\n{process.stdout}{process.stderr}"
            )
        return process.stdout
