"""All contestants on one load, in turns, against one server."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.request import ProxyHandler, Request, build_opener

from bench.builder import peers
from bench.builder.figures import AFTER, AS_HOOK, CONTROL, DAEMON, EMPTY, ONCE, OURS, Measured, Run
from bench.builder.loads import Load
from bench.builder.machine import Machine, machine
from bench.builder.ours import Ours
from bench.builder.peers import Peer
from bench.builder.processes import Metered, run
from bench.builder.requests import RequestLog
from bench.costs import Cost
from local.aws import UNCHECKED, Aws
from local.service import LocalService
from tests.differential.nix_generations import Generation

_TIMEOUT: Final = 900.0
_START_SECONDS: Final = 30.0
_HOOK_RUNS: Final = 50
_BUCKETS: Final = count()
_QUEUES: Final = count()


@dataclass(frozen=True, slots=True)
class Bench:
    """Where it happens. In ``service`` no function runs: on a builder's machine none would take its CPU.

    ``directory`` must exist; ``log`` is the file into which the server writes its requests.
    """

    service: LocalService
    log: Path
    directory: Path
    generations: Sequence[Generation]

    def compare(self, load: Load) -> list[Measured]:
        """Measure ``load`` with every contestant, round after round."""
        runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
        for _ in range(load.rounds):
            for generation in self.generations:
                for name, one in self._round(load, generation):
                    runs[name, generation.version].append(one)
        return [Measured(name, version, of_one) for (name, version), of_one in runs.items()]

    def hook_seconds(self, load: Load) -> Iterator[tuple[str, str, float]]:
        """Yield hook, Nix and the median seconds of one run, for some of what ``load`` builds."""
        for generation in self.generations:
            with self._machine(generation) as (here, scratch):
                here.build(load, None)
                built = here.outputs(load)[:_HOOK_RUNS]
                hooks = {EMPTY: peers.empty_hook(scratch / "empty"), OURS: self._ours(here, scratch).hook}
                for peer in self._peers(generation, scratch, (peers.XZ,)):
                    hooks[peer.name] = peer.hook(here, scratch / f"peer-{len(hooks)}")
                for name, hook in hooks.items():
                    yield name, generation.version, here.hook_seconds(hook, built)

    def _round(self, load: Load, generation: Generation) -> Iterator[tuple[str, Run]]:
        newest = generation is self.generations[-1]
        with self._machine(generation) as (here, scratch):
            yield CONTROL, _of_build(here.build(load, None))
            outputs = [out for _, out in here.outputs(load)]
            # Of one path, the copy at the end is the one in the hook once more, and xz takes minutes for a large one.
            compressions = (peers.XZ, peers.ZSTD) if load.many else (peers.ZSTD,)
            for peer in self._peers(generation, scratch, compressions):
                yield f"{AFTER}{peer.name}", self._copied(here, peer, outputs)
        if newest:
            with self._machine(generation) as (here, scratch):
                yield EMPTY, _of_build(here.build(load, peers.empty_hook(scratch / "hook")))
        with self._machine(generation) as (here, scratch):
            yield DAEMON, self._beside(load, here, self._ours(here, scratch))
        if newest:
            with self._machine(generation) as (here, scratch):
                yield ONCE, self._after(load, here, self._ours(here, scratch))
        with TemporaryDirectory(dir=self.directory) as caches:
            for peer in self._peers(generation, Path(caches), (peers.XZ,)):
                with self._machine(generation) as (here, scratch):
                    yield f"{AS_HOOK}{peer.name}", self._hooked(load, here, peer, peer.hook(here, scratch / "hook"))

    def _peers(self, generation: Generation, scratch: Path, compressions: Sequence[str]) -> Iterator[Peer]:
        for compression in compressions:
            yield peers.directory(scratch / f"cache-{compression}", compression)
            if generation is self.generations[-1]:  # the older ones of Debian know no s3:// at all
                yield peers.s3(self.service.aws, self._new_bucket(), compression)

    def _ours(self, here: Machine, scratch: Path) -> Ours:
        """Configure ours to look up where its peers do: at the server itself, with nothing in front of it."""
        aws, settings = self.service.aws, self.service.deployment.settings
        self._notify_anew(settings.staging_bucket)
        return Ours(self.service, here, scratch, cache_url=f"{aws.endpoint}/{settings.cache_bucket}")

    def _new_bucket(self) -> str:
        """Make a bucket on which each request costs the server what it costs on ours: versions and events are kept."""
        s3, name = self.service.aws.client("s3", UNCHECKED), f"peer-{next(_BUCKETS)}"
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        self._notify_anew(name)
        return name

    def _notify_anew(self, bucket: str) -> None:
        """Have the events of ``bucket`` sent as ours are, to a new queue: at each, moto walks over all that it has."""
        sqs, s3 = self.service.aws.client("sqs", UNCHECKED), self.service.aws.client("s3", UNCHECKED)
        url = sqs.create_queue(QueueName=f"events-{next(_QUEUES)}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        staging = s3.get_bucket_notification_configuration(Bucket=self.service.deployment.settings.staging_bucket)
        s3.put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={
                "QueueConfigurations": [{**rule, "QueueArn": arn} for rule in staging["QueueConfigurations"]]
            },
        )

    def _copied(self, here: Machine, peer: Peer, outputs: Sequence[str]) -> Run:
        log = RequestLog(self.log)
        cost = run(*here.nix("copy", "--to", peer.url, *outputs), environment=here.environment)
        return _of_peer(peer, log, cost, build=None)

    def _hooked(self, load: Load, here: Machine, peer: Peer, hook: Path) -> Run:
        log = RequestLog(self.log)
        cost = here.build(load, hook)
        return _of_peer(peer, log, cost, build=cost.seconds)

    def _beside(self, load: Load, here: Machine, ours: Ours) -> Run:
        with ours.daemon() as daemon:
            ours.wait_until_owned(daemon, _START_SECONDS)
            log = RequestLog(self.log)
            started = time.monotonic()
            build = here.build(load, ours.hook)
            return _of_ours(load, ours, daemon, log, started, build)

    def _after(self, load: Load, here: Machine, ours: Ours) -> Run:
        build = here.build(load, ours.hook)
        log = RequestLog(self.log)
        started = time.monotonic()
        with ours.upload_once() as uploader:
            return _of_ours(load, ours, uploader, log, started, build)

    @contextmanager
    def _machine(self, generation: Generation) -> Iterator[tuple[Machine, Path]]:
        """Give a new machine, always at the same place, so that all build the same store paths, and a scratch."""
        with (
            TemporaryDirectory(dir=self.directory) as scratch,
            machine(generation, self.directory / "machine") as here,
        ):
            yield here, Path(scratch)


def until_published(
    service: LocalService, log: Path, directory: Path, generation: Generation, load: Load
) -> float | None:
    """Return the seconds from the build's begin until the cache has all of ``load``; ``service`` is at work."""
    with machine(generation, directory / "machine") as here, TemporaryDirectory(dir=directory) as scratch:
        ours = Ours(service, here, Path(scratch), cache_url=service.cache_url)
        with ours.daemon() as daemon:
            ours.wait_until_owned(daemon, _START_SECONDS)
            requests = RequestLog(log)
            started = time.monotonic()
            here.build(load, ours.hook)
            bucket = service.deployment.settings.cache_bucket
            at = requests.wait_for_narinfos(bucket, load.paths, timeout=_TIMEOUT, alive=lambda: daemon.running)
            return None if at is None else at - started


def let_everybody_in(aws: Aws) -> None:
    """Have ``aws`` check no signature any more: Nix, as Debian builds it, sends none."""
    request = Request(  # noqa: S310 - our own address on loopback
        f"{aws.endpoint}/moto-api/reset-auth", data=b"inf", headers={"Content-Type": "text/plain"}, method="POST"
    )
    with build_opener(ProxyHandler({})).open(request):
        pass


def _of_build(cost: Cost) -> Run:
    return Run(build=cost.seconds, staged=None, requests=None, cpu=cost.cpu_seconds, peak_memory=cost.peak_memory)


def _of_peer(peer: Peer, log: RequestLog, cost: Cost, *, build: float | None) -> Run:
    requests = log.requests() if peer.bucket else None
    return Run(
        build=build,
        staged=cost.seconds,
        requests=requests,
        cpu=cost.cpu_seconds,
        peak_memory=cost.peak_memory,
        stored=requests.nar_bytes if requests else _size(Path(peer.url.removeprefix("file://").partition("?")[0])),
    )


def _of_ours(load: Load, ours: Ours, uploader: Metered, log: RequestLog, started: float, build: Cost) -> Run:
    """Wait until all is staged, then end the uploader: no verdict would ever come."""
    at = log.wait_for_narinfos(ours.staging_bucket, load.paths, timeout=_TIMEOUT, alive=lambda: uploader.running)
    cost = uploader.stop()
    if at is None:
        print(f"  bench: ours did not stage everything; it said: {uploader.complaint()}")
    requests = log.requests()
    return Run(
        build=build.seconds,
        staged=None if at is None else at - started,
        requests=requests,
        cpu=build.cpu_seconds + cost.cpu_seconds,
        peak_memory=cost.peak_memory,
        stored=requests.nar_bytes,
    )


def _size(cache: Path) -> int:
    return sum(file.stat().st_size for file in (cache / "nar").iterdir())
