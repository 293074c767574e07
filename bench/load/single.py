"""What one submission costs, whatever becomes of it: one after another, in one container, without a fault."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.load import runtime
from bench.load.objects import Uploaded, Workshop, uploaded
from bench.load.plan import BUILDERS, Planned
from bench.load.queues import Queues
from bench.load.send import Senders
from bench.load.usage import Usage, read_usage
from bench.trees import store_path
from local.service import LocalService
from nixcache.nar import dump
from nixcache.store_path import StorePath
from nixcache.verify import DEFAULT_MAX_NAR_SIZE
from protocol.keys import BuilderName
from protocol.policy import QuorumRule, SubmissionPolicy
from protocol.results import Result
from protocol.verdicts import Kind

LEAF: Final = "leaf without references"
LARGE: Final = "NAR of 64 MiB, hardly compressible"

_REFERENCES: Final = 10
_SMALL: Final = 12_000
_LARGE: Final = 64 * 1024 * 1024
_ALICE, _BOB, *_ = BUILDERS
_VOTED: Final = "voted-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What ``submissions`` took together; ``nar_size`` is that of one of them, in bytes."""

    name: str
    usage: Usage
    submissions: int
    log_bytes: int
    nar_size: int


def measure_cases() -> tuple[Case, ...]:
    """Start a service of its own and measure; raises SystemExit for a verdict that is not the one meant."""
    open_policy = SubmissionPolicy.open_to(BUILDERS, DEFAULT_MAX_NAR_SIZE)
    policy = replace(open_policy, quorum=(QuorumRule((f"{_VOTED}*",), 2),))
    with (
        TemporaryDirectory(prefix="assay-load-") as usage,
        TemporaryDirectory(prefix="assay-load-") as contents,
        Path(usage, "log").open("w") as log,
        LocalService(
            builders=BUILDERS, policy=policy, concurrency=1, runtime=runtime.arguments(Path(usage)), log=log
        ) as service,
    ):
        return _Cases(service, Path(usage), Path(contents)).measure()


class _Cases:
    def __init__(self, service: LocalService, usage: Path, contents: Path) -> None:
        self._service = service
        self._queues = Queues(service)
        self._senders = Senders(service, self._queues)
        self._usage = usage
        self._workshop = Workshop(contents, random.Random(1))
        self._contents = contents
        self._measured: list[Case] = []

    def measure(self) -> tuple[Case, ...]:
        case = self._case
        case("first path of a container", [(_ALICE, self._leaf("first"))], Kind.PUBLISHED)
        leaf = self._leaf("leaf")
        case(LEAF, [(_ALICE, leaf)], Kind.PUBLISHED)
        references = [self._leaf(f"reference-{number}") for number in range(_REFERENCES)]
        self._submit([(_ALICE, reference) for reference in references])
        paths = [reference.store_path for reference in references]
        for which in ("not seen lately", "seen lately"):
            referrer = self._workshop.pack(store_path(f"references-{which.replace(' ', '-')}"), paths, _SMALL)
            case(f"{_REFERENCES} references, {which}", [(_ALICE, referrer)], Kind.PUBLISHED)
        case("duplicate", [(_BOB, leaf)], Kind.DUPLICATE)
        other = self._workshop.pack(references[0].store_path, (), _SMALL)
        case("conflict", [(_BOB, other)], Kind.CONFLICT)
        lie = replace(self._leaf("lie"), file=self._leaf("truth").file)
        case("rejected, after its NAR was read", [(_BOB, lie)], Kind.REJECTED)
        missing = self._leaf("missing")
        waiting = self._workshop.pack(store_path("waiting"), [missing.store_path], _SMALL)
        case("referrer that comes first: waits", [(_ALICE, waiting)], Kind.WAITING)
        case("its reference: published, wakes it, both", [(_BOB, missing)], Kind.PUBLISHED)
        voted = self._leaf(f"{_VOTED}on")
        case("quorum of 2, first vote", [(_ALICE, voted)], Kind.AWAITING_QUORUM)
        case("second vote: published, wakes the first", [(_BOB, voted)], Kind.PUBLISHED)
        case(LARGE, [(_ALICE, self._large())], Kind.PUBLISHED)
        return tuple(self._measured)

    def _leaf(self, name: str) -> Uploaded:
        return self._workshop.pack(store_path(name), (), _SMALL)

    def _large(self) -> Uploaded:
        file = self._contents / "large"
        file.write_bytes(random.Random(2).randbytes(_LARGE))
        path: StorePath = store_path("large")
        return uploaded(path, (), b"".join(dump(file)))

    def _case(self, name: str, submissions: Sequence[tuple[BuilderName, Uploaded]], kind: Kind) -> None:
        usage, log = read_usage(self._usage), self._log_size()
        self._submit(submissions)
        for builder, thing in submissions:
            key = str(Planned(builder, thing, b"").result_key)
            s3 = self._service.aws.client("s3", self._service.deployment.operator)
            answer = s3.get_object(Bucket=self._service.deployment.settings.ledger_bucket, Key=key)
            verdict = Result.from_json(answer["Body"].read()).verdict
            if verdict.kind is not kind:
                raise SystemExit(f"bench: {name} should be {kind}, and is {verdict}")
        self._measured.append(
            Case(
                name=name,
                usage=read_usage(self._usage).since(usage),
                submissions=len(submissions),
                log_bytes=self._log_size() - log,
                nar_size=submissions[0][1].narinfo.nar_size,
            )
        )

    def _submit(self, submissions: Sequence[tuple[BuilderName, Uploaded]]) -> None:
        self._senders.send_all([Planned(builder, thing, thing.narinfo.render()) for builder, thing in submissions])
        self._queues.wait_until_empty()

    def _log_size(self) -> int:
        return (self._usage / "log").stat().st_size
