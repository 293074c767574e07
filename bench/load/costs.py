"""The bill, as Markdown for docs/explanation/cost.md: what was measured, times the prices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bench import prices
from bench.load.run import Outcome
from bench.load.single import Case
from bench.load.usage import KINDS
from bench.prices import Item, bill, total

_PATHS: Final = 1000
_STORED_GB: Final = 100
_MONTHS: Final = {
    1_000: ("t4g.small", "db.t4g.micro"),
    100_000: ("t4g.small", "db.t4g.micro"),
    10_000_000: ("t4g.medium", "db.t4g.medium"),
}
"""Paths a month, and the smallest instances that we would run a server for them on."""
_MEAN_NAR: Final = 1_000_000
_STAGED_GB: Final = prices.S3_GB_MONTH * prices.STAGING_DAYS / prices.DAYS_OF_A_MONTH
"""US dollars for a GB in staging until its lifecycle rule takes it."""
_SIZES: Final = {"100 kB": 100_000, "1 MB": 1_000_000, "10 MB": 10_000_000}


def print_case_requests(cases: Sequence[Case]) -> None:
    """Print which requests of ingest's own each case takes, and its bill."""
    kinds = [kind for kind in KINDS if any(case.usage.requests[kind] for case in cases)]
    _print_row("one submission", *kinds, "requests", "CPU ms", "US$ for 1,000")
    _print_line(len(kinds) + 3)
    for case in cases:
        requests = case.usage.requests
        _print_row(
            case.name,
            *(f"{requests[kind] or ''}" for kind in kinds),
            f"**{requests.total()}**",
            f"{case.usage.cpu_seconds * 1e3:.0f}",
            f"{total(_bill_of(case)) * _PATHS:.3f}",
        )
    print()


def print_bill(outcome: Outcome, leaf: Case) -> None:
    """Print the bill of 1,000 published paths: in the order in which they are built, and as the load came."""
    by_load = bill(outcome.usage, submissions=len(outcome.told), log_bytes=outcome.log_bytes)
    in_order = _bill_of(leaf)
    _print_row("1,000 published paths", "in order", "US$", "as the load came", "US$")
    _print_line(4)
    for alone, loaded in zip(in_order, by_load, strict=True):
        _print_row(
            alone.name,
            *_cells(alone, _PATHS / leaf.submissions),
            *_cells(loaded, _PATHS / outcome.published),
        )
    per_path = total(by_load) / outcome.published
    _print_row("**together**", "", f"**{total(in_order) * _PATHS:.3f}**", "", f"**{per_path * _PATHS:.3f}**")
    print()


def print_bill_by_size(leaf: Case, large: Case) -> None:
    """Print the bill of 100 GB of NARs, compressed, by the size of a path."""
    _print_row(f"{_STORED_GB} GB of NARs, in files of", *_SIZES)
    _print_line(len(_SIZES))
    paths = [_STORED_GB * prices.GB / size for size in _SIZES.values()]
    verified = _STORED_GB * prices.GB * _dollars_a_byte(leaf, large)
    staged = _STORED_GB * _STAGED_GB
    once = [number * total(_bill_of(leaf)) + verified + staged for number in paths]
    _print_row("paths", *(f"{number:,.0f}" for number in paths))
    _print_row("submitting and publishing them, US$", *(f"{number * total(_bill_of(leaf)):.2f}" for number in paths))
    _print_row("reading and verifying their bytes, US$", *(f"{verified:.2f}" for _ in paths))
    _print_row(f"{prices.STAGING_DAYS} days in staging, US$", *(f"{staged:.2f}" for _ in paths))
    _print_row("**once, US$**", *(f"**{dollars:.2f}**" for dollars in once))
    _print_row("**a month in the cache, US$**", *(f"**{_STORED_GB * prices.S3_GB_MONTH:.2f}**" for _ in paths))
    print()


def print_monthly_bill() -> None:
    """Print the bill of a month without submissions."""
    _print_row("a month without submissions", "", "US$")
    _print_line(2)
    items = prices.monthly_bill()
    for item in items:
        _print_row(item.name, *_cells(item, 1))
    _print_row("**together**", "", f"**{total(items):.2f}**")
    print()


def print_bills_by_month(leaf: Case, large: Case) -> None:
    """Print what months of few and of many paths cost, beside an always-on server for the same."""
    _print_row("published paths a month, 1 MB each", *(f"{paths:,}" for paths in _MONTHS))
    _print_line(len(_MONTHS))
    submitted = [paths * total(_bill_of(leaf)) for paths in _MONTHS]
    verified = [paths * _MEAN_NAR * _dollars_a_byte(leaf, large) for paths in _MONTHS]
    staged = [paths * _MEAN_NAR / prices.GB * _STAGED_GB for paths in _MONTHS]
    alone = total(prices.monthly_bill())
    _print_row("submitting and publishing, US$", *(f"{dollars:,.2f}" for dollars in submitted))
    _print_row("reading and verifying, US$", *(f"{dollars:,.2f}" for dollars in verified))
    _print_row("staging, US$", *(f"{dollars:,.2f}" for dollars in staged))
    _print_row("whatever happens, US$", *(f"{alone:,.2f}" for _ in _MONTHS))
    ours = [sum(parts) + alone for parts in zip(submitted, verified, staged, strict=True)]
    _print_row("**Assay, US$**", *(f"**{dollars:,.2f}**" for dollars in ours))
    theirs = [
        prices.server_bill(paths, server=server, database=database) for paths, (server, database) in _MONTHS.items()
    ]
    _print_row("instance and database", *(f"{server}, {database}" for server, database in _MONTHS.values()))
    _print_row("those, address and disks, US$", *(f"{total(items[:-1]):,.2f}" for items in theirs))
    _print_row("S3 PUT, US$", *(f"{items[-1].dollars:,.2f}" for items in theirs))
    _print_row("**a server, US$**", *(f"**{total(items):,.2f}**" for items in theirs))
    print()


def _dollars_a_byte(leaf: Case, large: Case) -> float:
    """Return what it costs to read and verify a byte of a NAR, compressed."""
    cpu_seconds = (large.usage.cpu_seconds - leaf.usage.cpu_seconds) / (large.nar_size - leaf.nar_size)
    return max(cpu_seconds, 1 / prices.STREAM_BYTES_A_SECOND) * prices.LAMBDA_GB * prices.LAMBDA_GB_SECOND


def _bill_of(case: Case) -> tuple[Item, ...]:
    return bill(case.usage, submissions=case.submissions, log_bytes=case.log_bytes)


def _cells(item: Item, factor: float) -> Iterator[str]:
    yield f"{item.quantity * factor:,.4g}"
    yield f"{item.dollars * factor:.4f}"


def _print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")


def _print_line(columns: int) -> None:
    print("|---|" + "---:|" * columns)
