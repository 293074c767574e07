"""A machine of one generation of Nix, on which a load is built."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.builder.loads import Load
from bench.builder.processes import run
from bench.costs import Cost
from local.demo.nix_machine import nix_machine
from tests.differential.nix_generations import Generation

_JOBS = "4"


@dataclass(frozen=True, slots=True)
class Machine:
    """Its store is empty at first. ``environment`` is what its commands need."""

    generation: Generation
    environment: Mapping[str, str]

    def nix(self, *arguments: str) -> tuple[str | Path, ...]:
        """Return a command of the newer kind."""
        return (self.generation.commands / "nix", *arguments)

    def build(self, load: Load, hook: Path | None) -> Cost:
        """Build ``load``, with ``hook`` after each path."""
        hooks = ("--option", "post-build-hook", str(hook)) if hook else ()
        command = self.generation.commands / "nix-build"
        # --quiet twice: what a build says would be the bench's own work.
        return run(
            command, "--quiet", "--quiet", "--no-out-link", "-j", _JOBS, *hooks, "-E", load.expression,
            environment=self.environment,
        )  # fmt: skip

    def outputs(self, load: Load) -> list[tuple[str, str]]:
        """Return each derivation of ``load``, which was built, and its output."""
        drvs = self._say("nix-instantiate", "-E", load.expression)
        return list(zip(drvs, self._say("nix-store", "--query", "--outputs", *drvs), strict=True))

    def hook_seconds(self, hook: Path, built: Sequence[tuple[str, str]]) -> float:
        """Return the median time of a run of ``hook``, as Nix runs it, once for each of those."""
        return statistics.median(self._hook_once(hook, drv, out) for drv, out in built)

    def _hook_once(self, hook: Path, drv: str, out: str) -> float:
        environment = {**self.environment, "DRV_PATH": drv, "OUT_PATHS": out}
        started = time.perf_counter()
        subprocess.run([hook], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        return time.perf_counter() - started

    def _say(self, program: str, *arguments: str) -> list[str]:
        said = subprocess.run(
            [self.generation.commands / program, *arguments],
            env=self.environment,
            capture_output=True,
            check=True,
            text=True,
        )
        return said.stdout.split()


@contextmanager
def machine(generation: Generation, root: Path) -> Iterator[Machine]:
    """Give a new machine at ``root``, which must not exist; it is gone at the end."""
    with nix_machine(root, {"experimental-features": "nix-command"}) as bare:
        more = {
            "PATH": f"{generation.commands}:{bare.environment['PATH']}",
            # Not in nix.conf, where 2.26 forgets an empty value again.
            "NIX_CONFIG": generation.configuration,
            # Or Nix looks for credentials at a cloud's own address, and waits.
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        yield Machine(generation, {**bare.environment, **more})
