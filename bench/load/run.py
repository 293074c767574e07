"""One run: start everything, upload everything, wait, look at everything."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load import runtime
from bench.load.cache_audit import CacheAudit
from bench.load.complaints import Complaints
from bench.load.plan import BUILDERS, Plan
from bench.load.queues import Queues
from bench.load.send import Senders
from bench.load.usage import Usage, read_usage
from bench.load.verdict_audit import Told, check_verdicts, read_results
from local.service import LocalService


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run took. ``published`` are store paths, ``peak_memory`` is the largest function process's, in bytes.

    ``log_bytes`` is what the functions wrote to their log.
    """

    told: tuple[Told, ...]
    published: int
    seconds: float
    usage: Usage
    peak_memory: int
    log_bytes: int


def run(plan: Plan, *, processes: int, fault_rate: float, visibility_timeout: int) -> Outcome:
    """Run ``plan`` with so many function ``processes``; a share of ``fault_rate`` of their AWS calls fails.

    ``visibility_timeout`` is the queue's, in seconds. Raises SystemExit, and says why, unless everything ends as it
    must.
    """
    with TemporaryDirectory(prefix="assay-load-") as name, Path(name, "log").open("w") as log:
        directory = Path(name)
        service = LocalService(
            builders=BUILDERS,
            first_retry_seconds=0,
            concurrency=processes,
            runtime=runtime.arguments(directory, fault_rate=fault_rate),
            log=log,
        )
        with service:
            queues = Queues(service)
            queues.set_visibility_timeout(visibility_timeout)
            started = time.monotonic()
            sent = Senders(service, queues).send_all(plan.submissions)
            queues.wait_until_empty()
            seconds = time.monotonic() - started
            complaints = Complaints()
            told = read_results(service, sent, complaints)
            published = check_verdicts(told, complaints)
            CacheAudit(service, complaints).check({key: one.sent.planned for key, one in published.items()})
        complaints.raise_any()
        return Outcome(
            told=told,
            published=len(published),
            seconds=seconds,
            usage=read_usage(directory),
            peak_memory=max(report.peak_memory for report in service.reports),
            log_bytes=Path(name, "log").stat().st_size,
        )
