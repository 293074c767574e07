"""Real Nix with its whole store somewhere else, so that tests ask it anything and leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from nixcache.store_path import StoreDir

_CONFIGURATION = """\
sandbox = false
build-users-group =
substituters =
experimental-features = nix-command ca-derivations
"""


class RelocatedNix:
    """The Nix on PATH, with store, state and configuration below ``root``, and none of the user's settings."""

    def __init__(self, root: Path) -> None:
        """Make an empty store below ``root``."""
        self.root = root
        self.store_dir = StoreDir(str(root / "store"))
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root / "home"),
            "NIX_STORE_DIR": self.store_dir.path,
            "NIX_STATE_DIR": str(root / "var"),
            "NIX_LOG_DIR": str(root / "log"),
            "NIX_CONF_DIR": str(root / "etc"),
            "NIX_CONFIG": _CONFIGURATION,
        }

    def attempt(self, *arguments: str | Path, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command, whatever its exit code."""
        return subprocess.run(arguments, input=data, capture_output=True, env=self._environment, check=False)

    def run(self, *arguments: str | Path, data: bytes = b"") -> bytes:
        """Run a command that must succeed, and return its standard output."""
        done = self.attempt(*arguments, data=data)
        assert done.returncode == 0, f"{arguments}: {done.stderr.decode(errors='replace')}"
        return done.stdout

    def line(self, *arguments: str | Path) -> str:
        """Run a command that must succeed, and return the line that it prints."""
        return self.run(*arguments).decode().strip()

    def to_file(self, name: str, contents: str) -> str:
        """Return what ``builtins.toFile`` gives."""
        expression = f"builtins.toFile {json.dumps(name)} {json.dumps(contents)}"
        return str(
            json.loads(self.line("nix-instantiate", "--eval", "--strict", "--read-write-mode", "--expr", expression))
        )

    def path_info(self, path: str, *options: str) -> dict[str, Any]:
        """Return what Nix remembers of a valid path."""
        (information,) = json.loads(self.run("nix", "path-info", "--json", *options, path))
        assert isinstance(information, dict)
        return information
