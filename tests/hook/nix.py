"""A real Nix with a store of its own below a test's directory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from nixcache.store_path import StoreDir, StorePath

# Without a daemon, as root or anybody: no sandbox, no build users, no substituter to wait for.
_SETTINGS = """\
sandbox = false
build-users-group =
substituters =
experimental-features = nix-command ca-derivations
"""


class Nix:
    """The variables relocate store, database and roots; ``environment`` is for our own programs beside Nix."""

    def __init__(self, directory: Path) -> None:
        for name in ("store", "state", "log", "conf"):
            (directory / name).mkdir(parents=True)
        (directory / "conf" / "nix.conf").write_text(_SETTINGS)
        self.store_dir = StoreDir(str(directory / "store"))
        self.state_dir = directory / "state"
        self.directory = directory
        self.environment: Mapping[str, str] = {
            "NIX_STORE_DIR": self.store_dir.path,
            "NIX_STATE_DIR": str(self.state_dir),
            "NIX_LOG_DIR": str(directory / "log"),
            "NIX_CONF_DIR": str(directory / "conf"),
        }

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of Nix."""
        return subprocess.run(
            arguments,
            env={**os.environ, **self.environment},
            check=check,
            capture_output=True,
            text=True,
        )

    def build(self, expression: str, *, hook: Path | None = None, jobs: int = 1) -> list[StorePath]:
        """Build ``expression``, a list of derivations or one; returns the outputs that nix-build prints."""
        options = ["--option", "post-build-hook", str(hook)] if hook else []
        built = self.run("nix-build", "--no-out-link", "-j", str(jobs), *options, "-E", expression)
        return [self.store_dir.parse(line) for line in built.stdout.splitlines()]

    def add(self, name: str, data: bytes) -> StorePath:
        """Add a file (a content-addressed path without references)."""
        source = self.directory / name
        source.write_bytes(data)
        return self.store_dir.parse(self.run("nix-store", "--add", str(source)).stdout.strip())

    def collect_garbage(self) -> None:
        """Delete everything that has no root."""
        self.run("nix-store", "--gc")

    def has(self, path: StorePath) -> bool:
        """Whether the path is valid."""
        return self.run("nix-store", "--check-validity", self.full(path), check=False).returncode == 0

    def full(self, path: StorePath) -> str:
        """Return the full store path."""
        return self.store_dir.render(path)

    def closure(self, *paths: StorePath) -> set[StorePath]:
        """Return what Nix itself says the closure is."""
        said = self.run("nix-store", "-qR", *map(self.full, paths)).stdout
        return {self.store_dir.parse(line) for line in said.splitlines()}


def derivation(name: str, script: str, *, outputs: str = "out", more: str = "") -> str:
    """Return an expression for a derivation that ``/bin/sh`` builds. In ``script``, ``${…}`` is Nix's own."""
    listed = " ".join(f'"{output}"' for output in outputs.split())
    return (
        f'(derivation {{ name = "{name}"; outputs = [ {listed} ]; system = builtins.currentSystem;'
        f' builder = "/bin/sh"; args = [ "-c" "{script}" ]; {more} }})'
    )


FLOATING = '__contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";'
"""Attributes of a floating content-addressed derivation."""
