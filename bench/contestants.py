"""Those who read a NAR: ours, the reference, and Nix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.cache import Sample
from bench.commands import run
from bench.costs import Cost
from nixcache.hashes import Hash
from nixcache.store_path import NIX_STORE

OURS: Final = "ours, everything"
REFERENCE: Final = "zstd -dc | openssl dgst -sha256"
COPY: Final = "nix copy --from file://"
VERIFY_PATH: Final = "nix-store --verify-path"
HASH_PATH: Final = "nix hash path"

_HERE: Final = Path(__file__).parents[1]


def ours(sample: Sample) -> Cost:
    """Verify with everything that there is: hashes, form, listing, build ids, mentions declared and not."""
    done = _ours("verify", sample)
    return Cost(seconds=done["seconds"], cpu_seconds=done["cpu_seconds"], peak_memory=int(done["peak_memory"]))


def stages(sample: Sample) -> dict[str, float]:
    """Return the CPU seconds of each of our stages, on one thread."""
    return _ours("stages", sample)


def _ours(what: str, sample: Sample) -> dict[str, float]:
    narinfo = sample.cache / f"{sample.narinfo.store_path.hash_part}.narinfo"
    command = (sys.executable, "-m", "bench.proof", what, str(narinfo))
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=_HERE, check=False)
    if done.returncode != 0:
        raise SystemExit("bench: our own verification failed.")
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def reference(sample: Sample) -> Cost:
    """Decompress and hash, in two processes: what any verifier has to do at least, by the fastest tools there are."""
    cost, output = run(("zstd", "-dcq", sample.file), ("openssl", "dgst", "-sha256", "-r"))
    _same(output.split()[0].decode(), sample.narinfo.nar_hash.hex)
    return cost


class Nix:
    """The Nix on PATH with a store elsewhere, its store dir still ``/nix/store``, and none of the user's settings."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "NIX_CONF_DIR": str(directory),
            "NIX_CONFIG": "experimental-features = nix-command\nsubstituters =\nbuild-users-group =\nsandbox = false\n",
        }

    def costs(self, sample: Sample, tree: Path) -> Iterator[tuple[str, Cost]]:
        """Do what a client does, and what checks it later: yield the cost of each."""
        with _directory(self._directory) as root:
            path = NIX_STORE.render(sample.narinfo.store_path)
            cache = f"file://{sample.cache}"
            yield COPY, self._run("nix", "copy", "--no-check-sigs", "--from", cache, "--to", root, path)
            yield VERIFY_PATH, self._run("nix-store", "--store", root, "--verify-path", path)
        cost, output = run(("nix", "hash", "path", tree), environment=self._environment)
        _same(Hash.parse(output.decode().strip()).hex, sample.narinfo.nar_hash.hex)
        yield HASH_PATH, cost

    def _run(self, *command: str) -> Cost:
        cost, _ = run(command, environment=self._environment)
        return cost


@contextmanager
def _directory(parent: Path) -> Iterator[str]:
    with TemporaryDirectory(dir=parent) as root:
        yield root
        # Nix makes what it installs read-only; only root could remove that as it is.
        for folder, _, _ in os.walk(root):
            Path(folder).chmod(0o700)


def _same(hexadecimal: str, expected: str) -> None:
    if hexadecimal != expected:
        raise SystemExit("bench: the others do not see the bytes that ours saw.")
