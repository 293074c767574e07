"""A machine with the real Nix, whose store lies in a directory of ours: the machine's own store is left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.demo.story import DemoError
from nixcache.store_path import StoreDir

_COMMAND_SECONDS = 300
# Offline and without build users, so that it works as root and as anybody; the last line avoids seconds of retries.
_SETTINGS = {"sandbox": "false", "build-users-group": "", "substituters": "", "builders": "", "connect-timeout": "5"}


@dataclass(frozen=True, slots=True)
class NixMachine:
    """One machine: its store, its Nix state and its user's home lie below ``root``."""

    root: Path

    @property
    def store_dir(self) -> StoreDir:
        """Where its store paths lie; the same for every machine with the same root."""
        return StoreDir(f"{self.root}/nix/store")

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make any Nix command one of this machine's."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": f"{self.root}/home",
            # What Nix remembers of a cache, absences above all, must end with the machine.
            "XDG_CACHE_HOME": f"{self.root}/home/.cache",
            "NIX_REMOTE": "local",
            "NIX_PATH": "",
            "NIX_STORE_DIR": self.store_dir.path,
            "NIX_STATE_DIR": f"{self.root}/nix/var/nix",
            "NIX_LOG_DIR": f"{self.root}/nix/var/log/nix",
            "NIX_CONF_DIR": f"{self.root}/etc/nix",
            "NIX_USER_CONF_FILES": "",
        }

    def run(self, *command: str) -> str:
        """Run a command to its end and return its standard output; raises :class:`DemoError` when it fails."""
        process = self.attempt(*command)
        if process.returncode != 0:
            last_words = "\n".join(process.stderr.splitlines()[-20:])
            raise DemoError(f"`{' '.join(command)}` failed with exit {process.returncode}:\n{last_words}")
        return process.stdout

    def attempt(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )

    def closure(self, path: str) -> list[str]:
        """Return the store paths of ``path``'s closure, sorted."""
        return sorted(self.run("nix-store", "--query", "--requisites", path).split())


@contextmanager
def nix_machine(root: Path, settings: Mapping[str, str]) -> Iterator[NixMachine]:
    """Set up a machine with an empty store and ``settings`` in its nix.conf; take it away at the end.

    ``root`` must not exist yet. Machines that follow one another at the same root have the same store dir, as all
    machines in the world do, so that what one has built runs on the other.
    """
    machine = NixMachine(root)
    for directory in ("home", "etc/nix"):
        (root / directory).mkdir(parents=True)
    lines = [f"{name} = {value}\n" for name, value in {**_SETTINGS, **settings}.items()]
    (root / "etc/nix/nix.conf").write_text("".join(lines))
    try:
        yield machine
    finally:
        remove_tree(root)


def reader_settings(substituter: str, public_key: object) -> dict[str, str]:
    """Return nix.conf of a machine that takes what ``substituter`` has, if that key signed it, and builds nothing."""
    return {
        "substituters": substituter,
        "trusted-public-keys": str(public_key),
        "require-sigs": "true",
        "fallback": "false",
        "max-jobs": "0",
    }


def remove_tree(root: Path) -> None:
    """Remove a directory, store paths included, which nobody may write to as they are."""
    for directory, _, _ in os.walk(root):
        Path(directory).chmod(0o700)
    shutil.rmtree(root)
