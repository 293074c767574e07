"""What EventBridge calls, by the clock."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from lambdas.context import Context
from lambdas.emf import EventLog, Metric
from lambdas.ingest.adapters.clients import Clients
from lambdas.ingest.adapters.queue import SqsQueue
from lambdas.sweep.markers import S3Markers
from protocol.keys import StagingNarInfoKey
from protocol.settings import SweepSettings

SERVICE: Final = "sweep"
TO_FINISH_SECONDS: Final = 30
"""With less time than this left, no further page is begun: half a million markers fit into a run."""


def sweep(settings: SweepSettings, clients: Clients, now: datetime, remaining_seconds: Callable[[], float]) -> int:
    """Wake all whose marker is older than a submission may wait; return how many. Raises :class:`TransientError`."""
    markers = S3Markers(clients.s3, settings.ledger_bucket)
    queue = SqsQueue(clients.sqs, settings.queue_url)
    woken = 0
    for page in markers.left_before(now - timedelta(seconds=settings.max_waiting_seconds)):
        queue.wake(StagingNarInfoKey(marker.builder, marker.hash_part) for marker in page)
        woken += len(page)
        if remaining_seconds() < TO_FINISH_SECONDS:
            break
    return woken


def handler(_event: object, context: Context) -> None:
    """Sweep once."""
    settings = SweepSettings.from_environment(os.environ)
    woken = sweep(settings, Clients.connect(), datetime.now(UTC), lambda: context.get_remaining_time_in_millis() / 1000)
    # Also when it is 0: a metric that is only there on bad days cannot be told from a sweeper that does not run.
    EventLog(service=SERVICE, stage=settings.stage).write("swept", {}, metrics=[Metric("Overdue", woken)])
