"""What AWS asks for what ingest uses: list prices of us-east-1, without free tiers and discounts, in US dollars.

Those of Lambda, SQS and S3's PUT were seen on third parties' pages in November 2026, the others were not looked up.
They change without us: compare them with AWS's own price pages before you rely on a bill (docs/explanation/cost.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.load.usage import COPY, LIST, READ, SECRETS, SQS, WRITE, Usage

S3_READ: Final = 0.0004 / 1000
"""GET and HEAD, each. DELETE is free."""
S3_WRITE: Final = 0.005 / 1000
"""PUT, COPY, POST and LIST, each; also of a part of a copy."""
S3_GB_MONTH: Final = 0.023
"""S3 Standard, the first 50 TB."""
SQS_REQUEST: Final = 0.40 / 1_000_000
"""A standard queue; up to ten messages, or 64 KB. S3's own notification is one, too."""
SECRETS_REQUEST: Final = 0.05 / 10_000
LAMBDA_REQUEST: Final = 0.20 / 1_000_000
LAMBDA_GB_SECOND: Final = 0.0000133334
"""On arm64."""
LOGS_GB: Final = 0.50
"""CloudWatch Logs, taken in; metrics come in by them, too."""
METRIC_MONTH: Final = 0.30
"""A custom metric, whatever is counted in it."""
SECRET_MONTH: Final = 0.40

SERVER_HOUR: Final = {"t4g.small": 0.0168, "t4g.medium": 0.0336}
"""An EC2 instance, on demand."""
DATABASE_HOUR: Final = {"db.t4g.micro": 0.016, "db.t4g.medium": 0.065}
"""An RDS instance of PostgreSQL in one zone, on demand."""
ADDRESS_HOUR: Final = 0.005
"""A public IPv4 address."""
SERVER_DISK: Final = 20 * 0.08
DATABASE_DISK: Final = 20 * 0.115
"""20 GB of gp3 each, for a month."""
SERVER_WRITES: Final = 3
"""What a server that signs has put into S3 for a path: NAR, listing and narinfo."""

LAMBDA_GB: Final = 1769 / 1024
"""The function's memory: one vCPU's worth."""
REQUEST_SECONDS: Final = 0.03
"""What an answer of S3's is waited for, on average; assumed, as no AWS is measured here. Requests are one after another
but for look-ups of references, which this takes for being in a row, too."""
STREAM_BYTES_A_SECOND: Final = 90_000_000
"""What S3 gives on one connection; assumed, too. One core verifies faster, so the function waits for the bytes."""
METRICS: Final = 13
"""Each verdict, bytes, and what else docs/reference/metrics.md lists."""
ALARM_MONTH: Final = 0.10
ALARMS: Final = 7
DAYS_OF_A_MONTH: Final = 365 / 12
SITE_RUNS_A_MONTH: Final = DAYS_OF_A_MONTH * 24 * 4
"""The landing page and its counts are written every quarter of an hour, whether anything comes or not."""
METRIC_READ: Final = 0.01 / 1000
"""GetMetricStatistics."""
SITE_WRITES: Final = 3
SITE_READS: Final = 2
SITE_METRICS: Final = 2
_SITE_GB: Final = 0.5
_SITE_CPU_SECONDS: Final = 0.1
"""Assumed: a page and a document of a few kilobytes."""
_POLLERS: Final = 5
_POLL_SECONDS: Final = 20
"""With nothing in the queue, Lambda still asks for messages: so many pollers, each time for so long."""
STAGING_DAYS: Final = 15
"""How long what was uploaded lies in the staging bucket."""
GB: Final = 1_000_000_000

_UPLOADS: Final = 2
"""A NAR and a narinfo; a NAR in parts is more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A line of a bill."""

    name: str
    quantity: float
    dollars: float


def bill(usage: Usage, *, submissions: int, log_bytes: float) -> tuple[Item, ...]:
    """Return what ``submissions`` cost, ``usage`` being ingest's own: requests, queue, function and log.

    Storage and what readers fetch are not in it.
    """
    requests = usage.requests
    writes = requests[WRITE] + requests[COPY] + requests[LIST]
    # S3 sends a message for each narinfo; for each batch, the event source receives once and deletes once.
    queue = requests[SQS] + submissions + 2 * usage.invocations
    gb_seconds = LAMBDA_GB * (usage.cpu_seconds + REQUEST_SECONDS * requests.total())
    return (
        _item("S3 PUT, the upload", _UPLOADS * submissions, S3_WRITE),
        _item("S3 GET", requests[READ], S3_READ),
        _item("S3 PUT, COPY, LIST", writes, S3_WRITE),
        _item("SQS requests", queue, SQS_REQUEST),
        _item("Secrets Manager requests", requests[SECRETS], SECRETS_REQUEST),
        _item("Lambda invocations", usage.invocations, LAMBDA_REQUEST),
        _item("Lambda GB-seconds", gb_seconds, LAMBDA_GB_SECOND),
        _item("CloudWatch Logs, GB", log_bytes / GB, LOGS_GB),
    )


def monthly_bill() -> tuple[Item, ...]:
    """Return what a deployment costs a month that nobody submits anything to."""
    polls = DAYS_OF_A_MONTH * 24 * 60 * 60 / _POLL_SECONDS * _POLLERS
    return (
        _item("secret", 1, SECRET_MONTH),
        _item("metrics", METRICS, METRIC_MONTH),
        _item("alarms", ALARMS, ALARM_MONTH),
        _item("SQS requests, polling", polls, SQS_REQUEST),
        _item("landing page, written", SITE_RUNS_A_MONTH, site_run()),
    )


def site_run() -> float:
    """Return what it costs to write the landing page once."""
    requests = SITE_WRITES + SITE_READS + SITE_METRICS
    return (
        SITE_WRITES * S3_WRITE
        + SITE_READS * S3_READ
        + SITE_METRICS * METRIC_READ
        + LAMBDA_REQUEST
        + _SITE_GB * (_SITE_CPU_SECONDS + REQUEST_SECONDS * requests) * LAMBDA_GB_SECOND
    )


def server_bill(paths: int, *, server: str, database: str) -> tuple[Item, ...]:
    """Return what a cache costs a month that runs always, on one instance with a database, and keeps NARs in S3."""
    hours = DAYS_OF_A_MONTH * 24
    return (
        _item(server, hours, SERVER_HOUR[server]),
        _item(database, hours, DATABASE_HOUR[database]),
        _item("public address", hours, ADDRESS_HOUR),
        _item("disks", 1, SERVER_DISK + DATABASE_DISK),
        _item("S3 PUT", SERVER_WRITES * paths, S3_WRITE),
    )


def _item(name: str, quantity: float, price: float) -> Item:
    return Item(name=name, quantity=quantity, dollars=quantity * price)


def total(items: tuple[Item, ...]) -> float:
    """Return the sum, in dollars."""
    return sum(item.dollars for item in items)
