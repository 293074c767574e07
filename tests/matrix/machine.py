"""A machine with one generation of Nix, its own store below a directory, with a daemon or without, and Assay on it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from local.aws import PROJECT_ROOT
from local.service import LocalService
from nixcache.store_path import StoreDir, StorePath
from protocol.keys import BuilderName
from tests.differential.nix_generations import Generation

PATIENCE_SECONDS = 60
"""How long anything may take that takes a second; nothing is judged by how long it took."""


class Mode(StrEnum):
    """Who builds, and so whose environment the hook has."""

    SINGLE_USER = "single-user"
    DAEMON = "daemon"


@dataclass(frozen=True, slots=True)
class Installation:
    """One cell of the matrix."""

    generation: Generation
    mode: Mode

    @property
    def has_daemon(self) -> bool:
        """Whether clients ask a daemon to build."""
        return self.mode is Mode.DAEMON

    def __str__(self) -> str:
        """How a test is called."""
        return f"{self.generation}-{self.mode}"


class Nix:
    """Nix commands of one installation, for one store.

    ``physical`` is where the store dir really lies, if not where it says: several stores can have one store dir so, as
    all machines in the world do. Such a store is filled by substitution only.
    """

    def __init__(
        self,
        installation: Installation,
        directory: Path,
        store_dir: StoreDir,
        settings: Mapping[str, str],
        *,
        physical: Path | None = None,
    ) -> None:
        """Make an empty one; ``directory`` is made, and takes everything but the store dir."""
        self.store_dir = store_dir
        self._installation = installation
        self._directory = directory
        self._socket = directory / "socket"
        for name in ("home", "etc", "client-etc"):
            (directory / name).mkdir(parents=True)
        common = {
            "sandbox": "false",
            "build-users-group": "",
            "substituters": "",
            "experimental-features": "nix-command ca-derivations",
            "fsync-metadata": "false",
        }
        lines = "".join(f"{name} = {value}\n" for name, value in {**common, **settings}.items())
        (directory / "etc/nix.conf").write_text(lines)
        # A client of a daemon has settings of its own, and the hook is none of them.
        (directory / "client-etc/nix.conf").write_text("experimental-features = nix-command ca-derivations\n")
        self._variables = {
            "NIX_STORE_DIR": store_dir.path,
            "NIX_STATE_DIR": str(directory / "var"),
            "NIX_LOG_DIR": str(directory / "log"),
            "NIX_CONF_DIR": str(directory / "etc"),
            "NIX_USER_CONF_FILES": "",
            # Not in nix.conf: Nix 2.26 takes its own default over an empty build-hook there.
            "NIX_CONFIG": installation.generation.configuration,
            "NIX_REMOTE": f"local?root={physical}" if physical else "local",
        }

    @property
    def environment(self) -> dict[str, str]:
        """What whoever uses this Nix has in the environment."""
        own = {
            **self._variables,
            "PATH": f"{self._installation.generation.commands}:{os.environ['PATH']}",
            "HOME": str(self._directory / "home"),
            # What Nix remembers of a cache must not outlive this machine.
            "XDG_CACHE_HOME": str(self._directory / "home/cache"),
        }
        if not self._installation.has_daemon:
            return own
        conf_dir = str(self._directory / "client-etc")
        return {**own, "NIX_REMOTE": f"unix://{self._socket}", "NIX_CONF_DIR": conf_dir, "NIX_CONFIG": ""}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the daemon, where this installation has one."""
        if not self._installation.has_daemon:
            yield
            return
        command = [str(self._installation.generation.commands / "nix"), "daemon"]
        # No PATH, no HOME, no locale: all that the hook gets is what a service manager would give.
        environment = {**self._variables, "NIX_DAEMON_SOCKET_PATH": str(self._socket)}
        with (
            (self._directory / "daemon.log").open("wb") as log,
            subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as daemon,
        ):
            try:
                wait_until("the daemon listens", lambda: daemon.poll() is not None or _listens(self._socket))
                assert daemon.poll() is None, (self._directory / "daemon.log").read_text()
                yield
            finally:
                daemon.terminate()

    def attempt(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of Nix to its end, whatever that is."""
        return subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def run(self, *command: str | Path) -> str:
        """Run a command that must succeed; return what it printed."""
        done = self.attempt(*command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def forget_caches(self) -> None:
        """Forget what Nix remembers of binary caches: what is there, and what is not."""
        shutil.rmtree(self._directory / "home/cache", ignore_errors=True)

    def full(self, path: StorePath) -> str:
        """Return the full store path."""
        return self.store_dir.render(path)

    def has(self, path: StorePath) -> bool:
        """Whether the path is valid."""
        return self.attempt("nix-store", "--check-validity", self.full(path)).returncode == 0

    def closure(self, *paths: StorePath) -> set[StorePath]:
        """Return the paths and all that they refer to, however indirectly."""
        said = self.run("nix-store", "--query", "--requisites", *map(self.full, paths))
        return set(map(self.store_dir.parse, said.split("\n")[:-1]))

    def hashes(self, paths: Collection[StorePath]) -> dict[StorePath, str]:
        """Return the NAR hashes that Nix has for valid paths."""
        listed = list(paths)
        said = self.run("nix-store", "--query", "--hash", *map(self.full, listed)).splitlines()
        return dict(zip(listed, said, strict=True))


class Machine(Nix):
    """A machine that builds: Nix with the hook in its nix.conf, and ``assay`` set up for one builder of a service."""

    def __init__(self, installation: Installation, root: Path, service: LocalService, builder: BuilderName) -> None:
        """``root`` must be short: a socket's address has a hundred characters."""
        self.installation = installation
        self.state_dir = root / "assay"
        self.hook = root / "post-build-hook"
        self._root = root
        self._service = service
        super().__init__(installation, root / "nix", store_dir_of(root), {"post-build-hook": str(self.hook)})
        settings = service.deployment.settings
        (root / "builder.toml").write_text(
            f'builder = "{builder}"\n'
            f'staging_bucket = "{settings.staging_bucket}"\n'
            f'ledger_bucket = "{settings.ledger_bucket}"\n'
            f'cache_url = "{service.cache_url}"\n'
            f'state_dir = "{self.state_dir}"\n'
        )
        self._aws = service.aws.environment(service.deployment.builders[builder])
        written = self.assay("hook-script", "--output", str(self.hook))
        assert written.returncode == 0, written.stderr

    def build(self, expression: str, *options: str) -> list[StorePath]:
        """Build what must build; return the outputs that nix-build prints."""
        return [self.store_dir.parse(line) for line in self._build(expression, *options, check=True).stdout.split()]

    def fail(self, expression: str, *options: str) -> None:
        """Build what must not build, not all of it."""
        assert self._build(expression, *options, check=False).returncode != 0

    def assay(self, *arguments: str, network: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of Assay to its end."""
        return subprocess.run(
            self._assay(*arguments),
            cwd=PROJECT_ROOT,
            env=self._assay_environment(network=network),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def upload(self) -> str:
        """Empty the queue; return what the uploader said. All of it must have been accepted."""
        done = self.assay("upload", "--once")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def uploader(self) -> Iterator[None]:
        """Run ``assay daemon`` for the length of a block; it must end in peace."""
        with subprocess.Popen(
            self._assay("daemon"),
            cwd=PROJECT_ROOT,
            env=self._assay_environment(network=True),
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as daemon:
            try:
                yield
            finally:
                daemon.terminate()
                _, complaints = daemon.communicate(timeout=PATIENCE_SECONDS)
        assert daemon.returncode == 0, complaints

    def queued(self, paths: Collection[StorePath]) -> set[StorePath]:
        """Return those of ``paths`` that Assay still has something to do with."""
        done = self.assay("status", "--json")
        assert done.returncode == 0, done.stderr
        full_paths = {entry["storePath"] for entry in json.loads(done.stdout)["entries"]}
        return {path for path in paths if self.store_dir.render(path) in full_paths}

    def spooled(self) -> str:
        """Return what hooks have queued since the last upload."""
        return "".join(file.read_text() for file in sorted((self.state_dir / "spool/new").glob("*")))

    def _build(self, expression: str, *options: str, check: bool) -> subprocess.CompletedProcess[str]:
        file = self._root / "default.nix"
        file.write_text(expression)
        done = self.attempt("nix-build", "--no-out-link", *options, file)
        assert not check or done.returncode == 0, done.stderr
        return done

    def _assay(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "hook", *arguments]

    def _assay_environment(self, *, network: bool) -> dict[str, str]:
        environment = {**self.environment, **self._aws, "ASSAY_CONFIG": str(self._root / "builder.toml")}
        if network:
            return environment
        # Port 9 of this machine is nobody's: every connection is refused at once.
        nowhere = "http://127.0.0.1:9"
        return {**environment, "AWS_ENDPOINT_URL": nowhere, "ASSAY_CACHE_URL": nowhere}


def store_dir_of(root: Path) -> StoreDir:
    """Return the store dir of the machine at ``root``."""
    return StoreDir(str(root / "store"))


def _listens(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(address))
        except OSError:
            return False
    return True


def wait_until(condition: str, holds: Callable[[], object]) -> None:
    """Wait for something that is sure to come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)
