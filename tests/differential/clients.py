"""The clients that judge: each generation of Nix, asked to restore NARs and to install from binary caches."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from enum import Enum, auto
from itertools import count
from pathlib import Path

from nixcache.signature import PublicKey
from nixcache.store_path import StoreDir, StorePath
from tests.differential.nix_generations import Generation
from tests.nixcache.relocated_nix import RelocatedNix

# Nix 2.8 allocates whatever length a string announces: without a limit a damaged one takes all memory there is.
_LIMITED = 'ulimit -v 6000000; exec timeout "$@"'
_PATIENCE = 60
"""Seconds. Some clients never end on some input."""


class Restored(Enum):
    """What a client makes of the bytes of a NAR."""

    SAME = auto()
    """A tree whose NAR is these very bytes."""
    DIFFERENT = auto()
    """A tree with another NAR, or none: what it read was not the NAR of anything."""
    REFUSED = auto()


class Client:
    """One generation of Nix, with a store of its own that only substitution fills.

    All clients of a run have one store dir (a cache serves one), each in a directory of its own.
    """

    def __init__(self, generation: Generation, *, shared: Path, own: Path) -> None:
        """Take the store dir from ``shared``, and put store and scratch files below ``own``."""
        self.name = str(generation)
        self.nix = RelocatedNix(shared, commands=generation.commands, configuration=generation.configuration)
        self._own = own
        self._scratch = own / "scratch"
        self._scratch.mkdir(parents=True)
        self._numbers = count()

    def __str__(self) -> str:
        """The version."""
        return self.name

    @property
    def generation(self) -> str:
        """The version without its last number, as the traps have it."""
        return self.name.rpartition(".")[0]

    @property
    def store_dir(self) -> StoreDir:
        """The store dir that caches for this client are made for."""
        return self.nix.store_dir

    def restore(self, nar: bytes) -> Restored:
        """Restore ``nar``, dump what comes out, and compare."""
        path = self._scratch / str(next(self._numbers))
        try:
            if self._attempt("nix-store", "--restore", path, data=nar).returncode:
                return Restored.REFUSED
            dumped = self._attempt("nix-store", "--dump", path)
            return Restored.SAME if dumped.returncode == 0 and dumped.stdout == nar else Restored.DIFFERENT
        finally:
            # Not is_dir(): it would follow a symlink, which may lead anywhere or be too long to follow.
            if os.path.lexists(path):
                path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)

    def install(
        self, cache: Path, key: PublicKey, *paths: StorePath, store: str = "store", patience: int = _PATIENCE
    ) -> bool:
        """Install ``paths`` and their closures from ``cache``, trusting ``key`` alone; tell whether all of them came.

        ``store`` names one of the client's stores; each is empty at first. ``patience`` is in seconds.
        """
        options = {
            "substituters": f"file://{cache}",
            "trusted-public-keys": str(key),
            "require-sigs": "true",
            "fsync-metadata": "false",
        }
        given = [word for name, value in options.items() for word in ("--option", name, value)]
        wanted = [self.store_dir.render(path) for path in paths]
        done = self._attempt(*self._nix_store(store), "--realise", *given, *wanted, patience=patience)
        return done.returncode == 0

    def dump(self, path: StorePath, *, store: str = "store") -> bytes:
        """Return the NAR of a path that was installed."""
        return self.nix.run("nix-store", "--dump", self._own / store / "nix/store" / path.base_name)

    def problems(self, *, store: str = "store") -> list[str]:
        """Return what ``nix-store --verify --check-contents`` finds wrong with the store."""
        done = self._attempt(*self._nix_store(store), "--verify", "--check-contents")
        lines = done.stderr.decode(errors="replace").splitlines()
        found = [line for line in lines if not re.fullmatch(r"(reading|checking) [a-zA-Z ]*\.\.\.", line)]
        return found or ["it fails"] * bool(done.returncode)

    def _nix_store(self, store: str) -> list[str]:
        physical = self._own / store
        physical.mkdir(exist_ok=True)
        return ["nix-store", "--store", f"local?root={physical}"]

    def _attempt(
        self, *arguments: str | Path, data: bytes = b"", patience: int = _PATIENCE
    ) -> subprocess.CompletedProcess[bytes]:
        return self.nix.attempt("sh", "-c", _LIMITED, "sh", str(patience), *arguments, data=data)
