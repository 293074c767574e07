"""What a run comes to, in figures."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bench.load.run import Outcome
from bench.load.usage import KINDS
from bench.load.verdict_audit import Told
from bench.table import Table, mebibytes
from nixcache.store_path import HashPart
from protocol.verdicts import Published, Rejected

_PERCENT: Final = 100


def print_figures(outcome: Outcome) -> None:
    """Print speed, latency, verdicts, faults, and requests a published path."""
    submissions, published, usage = len(outcome.told), outcome.published, outcome.usage
    table = Table("", "figure")
    table.add("seconds until the last verdict", f"{outcome.seconds:.0f}")
    table.add("submissions a second", f"{submissions / outcome.seconds:.1f}")
    table.add("paths published a second", f"{published / outcome.seconds:.1f}")
    table.add("deliveries a submission", f"{usage.deliveries / submissions:.2f}")
    table.add("CPU ms a published path", f"{usage.cpu_seconds / published * 1e3:.0f}")
    table.add("peak memory of a function, MiB", mebibytes(outcome.peak_memory))
    table.print()

    table = Table("seconds until the verdict, from", "p50", "p95", "most")
    table.add("the upload", *_quantiles([_judged_at(one) - one.sent.at for one in outcome.told]))
    table.add("the upload, or the last reference's publication", *_quantiles(list(_since_ready(outcome.told))))
    table.print()

    table = Table("ingest's requests", "in all", "a published path")
    for kind in KINDS:
        table.add(kind, f"{usage.requests[kind]}", f"{usage.requests[kind] / published:.2f}")
    table.add("together", f"{usage.requests.total()}", f"{usage.requests.total() / published:.2f}")
    table.print()

    table = Table("verdicts", "submissions")
    for verdict, count in sorted(_verdicts(outcome.told).items()):
        table.add(verdict, f"{count}")
    table.print()

    calls = usage.requests.total()
    table = Table("faults that ingest met", "calls", "% of requests")
    for fault, count in sorted(usage.faults.items()):
        table.add(fault, f"{count}", f"{count / calls * _PERCENT:.2f}")
    table.add("together", f"{usage.faults.total()}", f"{usage.faults.total() / calls * _PERCENT:.2f}")
    table.print()


def _verdicts(told: Sequence[Told]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for one in told:
        verdict = one.result.verdict
        name = f"rejected: {verdict.code}" if isinstance(verdict, Rejected) else verdict.kind.value
        counted[name] = counted.get(name, 0) + 1
    return counted


def _judged_at(told: Told) -> float:
    return told.result.at.timestamp()


def _since_ready(told: Sequence[Told]) -> Iterator[float]:
    """Yield, for each that was published, how long after it could have been it was."""
    published_at: Mapping[HashPart, float] = {
        one.sent.planned.key.hash_part: _judged_at(one) for one in told if isinstance(one.result.verdict, Published)
    }
    for one in told:
        if isinstance(one.result.verdict, Published):
            narinfo = one.sent.planned.uploaded.narinfo
            since = [published_at[path.hash_part] for path in narinfo.references if path != narinfo.store_path]
            yield _judged_at(one) - max([one.sent.at, *since])


def _quantiles(seconds: Sequence[float]) -> tuple[str, ...]:
    cuts = statistics.quantiles(seconds, n=20)
    return tuple(f"{value:.2f}" for value in (statistics.median(seconds), cuts[-1], max(seconds)))
