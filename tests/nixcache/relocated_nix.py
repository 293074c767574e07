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
    """One Nix, with store, state and configuration below ``root``, and none of the user's settings.

    It is the one on PATH, unless ``commands`` is the directory of another's; ``configuration`` is added to its own.
    """

    def __init__(self, root: Path, *, commands: Path | None = None, configuration: str = "") -> None:
        """Make an empty store below ``root``."""
        self.root = root
        self.store_dir = StoreDir(str(root / "store"))
        self._environment = {
            "PATH": f"{commands}:{os.environ['PATH']}" if commands else os.environ["PATH"],
            "HOME": str(root / "home"),
            "NIX_STORE_DIR": self.store_dir.path,
            "NIX_STATE_DIR": str(root / "var"),
            "NIX_LOG_DIR": str(root / "log"),
            "NIX_CONF_DIR": str(root / "etc"),
            "NIX_CONFIG": _CONFIGURATION + configuration,
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
        """Return what Nix remembers of a valid path: references in full, hashes as text, whatever the generation."""
        command = ["nix", "path-info", "--json", *options, path]
        newest = self.attempt(*command, "--json-format", "1")
        answer = json.loads(self.run(*command) if newest.returncode else newest.stdout)
        # A list up to 2.18, an object by path since.
        (information,) = answer.values() if isinstance(answer, dict) else answer
        assert isinstance(information, dict)
        return {name: value for name, value in information.items() if value is not None}
