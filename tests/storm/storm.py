"""A storm of builds in which hooks, uploaders and machines die, with garbage collection running beside it.

``python -m tests.storm.storm --derivations 2000 --kills 400`` runs it by hand. At the end every path that was built is
in the cache, signed; nothing is queued, rooted or half uploaded; and the store can be collected (I6, I9).
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from local.aws import PROJECT_ROOT
from local.demo.nix_machine import remove_tree
from local.service import LocalService
from nixcache.narinfo import NarInfo
from nixcache.store_path import StorePath
from protocol.keys import BuilderName, CacheNarInfoKey
from tests.hook.nix import Nix
from tests.storm.derivations import Derivations
from tests.storm.hook_kills import LAST_CALL, KilledHooks
from tests.storm.killed_uploader import KILL, LIAR, POWER, TORN, KilledUploader

_BUILDER: Final = BuilderName("ci-1")
_DRAIN_SECONDS: Final = 3600
_MACHINES: Final = (POWER, POWER, TORN, LIAR)
"""Of four machines that die, how."""
_COLLECTED_UNDER_NIX: Final = re.compile(
    r"^error: (opening file '[^']*\.drv': No such file or directory|path '[^']*' is not valid)$", re.MULTILINE
)
"""Nix's own race: while its collector deletes the closure of a path, a root that another process takes on a member of
that closure comes too late. Whoever builds then builds again."""
_REPEATED: Final = 10
"""Commands of one storm at most: more of them would be no accident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a storm was made of. ``killed_hooks`` are by the system call that was never made."""

    derivations: int
    paths: int
    builds: int
    builds_repeated: int
    collections: int
    killed_hooks: Counter[str]
    deaths: Counter[str]
    hooks: int
    set_aside: int
    unfinished_uploads: int
    lost_with_databases: int
    build_seconds: float
    seconds: float

    def __str__(self) -> str:
        """Return the table of the kills."""
        hooks = ", ".join(f"{count} before {call}" for call, count in sorted(self.killed_hooks.items()))
        kills = self.killed_hooks.total() + self.deaths.total()
        deaths = "".join(f"| {death} | {count} |\n" for death, count in sorted(self.deaths.items()))
        return (
            f"| Storm of {self.derivations} derivations, {self.paths} paths | |\n|---|---:|\n"
            f"| hook runs | {self.hooks} |\n| commands of nix-build, all with exit 0 | {self.builds} |\n"
            f"| commands repeated, a derivation collected under Nix | {self.builds_repeated} |\n"
            f"| garbage collections beside them | {self.collections} |\n| **kills** | **{kills}** |\n"
            f"| hook killed | {self.killed_hooks.total()} |\n{deaths}"
            f"| databases and spool files set aside | {self.set_aside} |\n"
            f"| multipart uploads begun in the moment of a kill, without a part | {self.unfinished_uploads} |\n"
            f"| multipart uploads forgotten with a database that was lost | {self.lost_with_databases} |\n"
            f"| paths that are not in the cache | 0 |\n| roots left over | 0 |\n"
            f"| seconds of builds; until all was published | {self.build_seconds:.0f}; {self.seconds:.0f} |\n\n"
            f"Hooks died: {hooks}.\n"
        )


class Storm:
    """One storm in ``directory``, which must exist; ``seed`` decides what is built and who dies when."""

    def __init__(self, directory: Path, *, derivations: int, kills: int, seed: int) -> None:
        rng = random.Random(seed)
        self._directory = directory
        self._nix = Nix(directory / "nix")
        self._derivations = Derivations(derivations, rng, directory / "storm.nix")
        self._state_dir = directory / "assay"
        names = [planned.name for planned in self._derivations.all]
        # More often than others before the first call: then nothing at all is known of what was built.
        self._hook_deaths = {
            name: max(0, rng.randrange(-3, LAST_CALL)) for name in rng.sample(names, min(kills // 2, derivations // 2))
        }
        machines = max(kills // 10, len(_MACHINES))
        self._deaths = [_MACHINES[number % len(_MACHINES)] for number in range(machines)]
        self._deaths += [KILL] * (kills - len(self._hook_deaths) - machines)
        rng.shuffle(self._deaths)
        self._rng = rng
        self._builds = self._repeated = self._collections = 0
        self._forgotten: set[tuple[str, str]] = set()

    def run(self) -> Figures:
        """Let it pass; raises AssertionError with everything that is not as it must be at its end."""
        with (
            (self._directory / "service.log").open("w") as log,
            LocalService(store_dir=self._nix.store_dir, builders=[_BUILDER], first_retry_seconds=0, log=log) as service,
        ):
            return self._run(service)

    def _run(self, service: LocalService) -> Figures:
        settings = service.deployment.settings
        environment = {
            **os.environ,
            **self._nix.environment,
            **service.aws.environment(service.deployment.builders[_BUILDER]),
            "ASSAY_CONFIG": "",
            "ASSAY_BUILDER": str(_BUILDER),
            "ASSAY_STAGING_BUCKET": settings.staging_bucket,
            "ASSAY_LEDGER_BUCKET": settings.ledger_bucket,
            "ASSAY_CACHE_URL": service.cache_url,
            "ASSAY_STATE_DIR": str(self._state_dir),
        }
        s3 = service.aws.client("s3", service.deployment.operator)

        def unfinished() -> set[tuple[str, str]]:
            uploads = s3.list_multipart_uploads(Bucket=settings.staging_bucket).get("Uploads", [])
            return {(upload["Key"], upload["UploadId"]) for upload in uploads}

        started = time.monotonic()
        paths = self._derivations.store_paths(self._nix)
        script = self._directory / "post-build-hook"
        self._assay(environment, "hook-script", "--output", str(script))
        killed = KilledHooks(self._directory / "hooks", script, self._hook_deaths)
        hook = self._counting(script)
        uploader = KilledUploader(
            environment,
            self._state_dir,
            self._directory,
            self._deaths,
            self._rng,
            database_lost=lambda: self._forgotten.update(unfinished()),
        )
        self._state_dir.mkdir()
        uploader.log.touch()
        uploader.start()
        try:
            self._build_all(hook)
            build_seconds = time.monotonic() - started
            uploader.outlive()
        finally:
            uploader.end()
        drained = self._assay(environment, "upload", "--once", "--timeout", str(_DRAIN_SECONDS), check=False)
        self._check(service, paths, drained)
        left = unfinished() - self._forgotten
        with_parts = [
            key
            for key, upload_id in left
            if s3.list_parts(Bucket=settings.staging_bucket, Key=key, UploadId=upload_id).get("Parts")
        ]
        if with_parts:
            raise AssertionError(f"multipart uploads with parts are orphaned: {with_parts}")
        quarantine = self._state_dir / "quarantine"
        return Figures(
            derivations=len(paths),
            paths=sum(map(len, paths.values())),
            builds=self._builds,
            builds_repeated=self._repeated,
            collections=self._collections,
            killed_hooks=killed.kills(),
            deaths=uploader.died,
            hooks=len((self._directory / "hook-runs").read_text().splitlines()),
            set_aside=len(list(quarantine.iterdir())) if quarantine.is_dir() else 0,
            unfinished_uploads=len(left),
            lost_with_databases=len(unfinished() & self._forgotten),
            build_seconds=build_seconds,
            seconds=time.monotonic() - started,
        )

    def _assay(
        self, environment: dict[str, str], *arguments: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hook", *arguments],
            cwd=PROJECT_ROOT,
            env=environment,
            check=check,
            capture_output=True,
            text=True,
        )

    def _counting(self, script: Path) -> Path:
        """Return a hook that runs ``script`` and keeps its exit code, and leaves a line of it."""
        hook = self._directory / "hook"
        hook.write_text(
            f'#!/bin/sh\n"{script}"; code=$?\necho "$code $DRV_PATH" >> "{self._directory}/hook-runs"\nexit $code\n'
        )
        hook.chmod(0o755)
        return hook

    def _build_all(self, hook: Path) -> None:
        """Build it all, round by round, while somebody else collects garbage."""
        over = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            collecting = pool.submit(self._collect_until, over)
            try:
                for planned in self._derivations.rounds():
                    self._build(self._derivations.expression(planned), hook)
            finally:
                over.set()
            collecting.result()

    def _build(self, expression: str, hook: Path) -> None:
        command = ("nix-build", "--no-out-link", "-j", "2", "-k", "--option", "post-build-hook", str(hook))
        built = self._nix.run(*command, "-E", expression, check=False)
        while built.returncode != 0 and _COLLECTED_UNDER_NIX.search(built.stderr) and self._repeated < _REPEATED:
            self._repeated += 1
            built = self._nix.run(*command, "-E", expression, check=False)
        if built.returncode != 0:
            raise AssertionError(f"nix-build ended with exit {built.returncode}:\n{built.stderr[-4000:]}")
        self._builds += 1

    def _collect_until(self, over: threading.Event) -> None:
        while not over.wait(0.2):
            self._nix.collect_garbage()
            self._collections += 1

    def _check(
        self,
        service: LocalService,
        paths: dict[str, tuple[StorePath, ...]],
        drained: subprocess.CompletedProcess[str],
    ) -> None:
        """Complain of everything at once, or one fault could hide another."""
        complaints: list[str] = []
        if drained.returncode != 0:
            complaints.append(f"assay upload --once ended with exit {drained.returncode}: {drained.stderr[-2000:]}")
        for name, outputs in paths.items():
            complaints += [f"{path} of {name} {why}" for path in outputs if (why := self._is_amiss(service, path))]
        roots = [*(self._nix.state_dir / "gcroots" / "assay").glob("*/*"), *(self._state_dir / "roots").glob("*")]
        complaints += [f"{root} is still there" for root in roots]
        new = self._state_dir / "spool" / "new"
        complaints += [f"{file} is still spooled" for file in new.iterdir()]
        self._nix.collect_garbage()
        files = {self._nix.full(path) for outputs in paths.values() for path in outputs}
        complaints += [f"{file} was not collected" for file in files if os.path.lexists(file)]
        if complaints:
            shown = "\n  ".join(complaints[:20])
            listing = subprocess.run(["ls", "-lR", self._state_dir], capture_output=True, text=True, check=False).stdout
            raise AssertionError(f"{len(complaints)} things are wrong at the end:\n  {shown}\n{listing[-3000:]}")

    def _is_amiss(self, service: LocalService, path: StorePath) -> str:
        url = f"{service.cache_url}/{CacheNarInfoKey(path.hash_part)}"
        try:
            with build_opener(ProxyHandler({})).open(url) as answer:
                narinfo = NarInfo.parse(answer.read(), self._nix.store_dir)
        except HTTPError as error:
            return f"is not in the cache: {error}"
        signed = narinfo.is_signed_by(service.deployment.public_key) and narinfo.store_path == path
        return "" if signed else "is in the cache, but not signed"


def main() -> None:
    """Run one storm and print its figures."""
    parser = argparse.ArgumentParser(prog="tests.storm", description=__doc__.splitlines()[0])
    parser.add_argument("--derivations", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--kills", type=int, default=400, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    sys.stdout.write(f"Seed {seed}.\n")
    sys.stdout.flush()
    directory = Path(tempfile.mkdtemp(prefix="assay-storm-"))
    try:
        figures = Storm(directory, derivations=options.derivations, kills=options.kills, seed=seed).run()
    except AssertionError as error:
        sys.exit(f"storm: {error}\nSeed {seed}. Everything is still in {directory}.")
    sys.stdout.write(str(figures))
    remove_tree(directory)


if __name__ == "__main__":
    main()
