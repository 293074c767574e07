"""What CloudWatch knows of the cache: verdicts that ingest counted, and bytes that S3 measured.

Nobody lists the bucket for it: at ten million paths that takes 30,000 requests, and this takes two.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from lambdas.emf import NAMESPACE
from lambdas.ingest.adapters.aws_call import aws_call
from lambdas.ingest.adapters.telemetry import SERVICE
from lambdas.site.status import Closed, Published, Stored
from protocol.verdicts import Kind

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

_DAY: Final = timedelta(days=1)
_DAY_SECONDS: Final = 86_400
_REMEMBERED: Final = 454 * _DAY
"""How far back CloudWatch is asked at first; it keeps 455 days."""
_RECENT: Final = 29 * _DAY
"""With today, 30 days."""
_MEASURED_WITHIN: Final = 4 * _DAY
"""S3 measures once a day, and tells a day or two later."""


class CloudWatchCounts:
    """Asks CloudWatch about a deployment's ``stage`` and its cache ``bucket``."""

    def __init__(self, cloudwatch: CloudWatchClient, *, stage: str, bucket: str) -> None:
        """Ask ``cloudwatch``."""
        self._cloudwatch = cloudwatch
        self._stage = stage
        self._bucket = bucket

    def published(self, closed: Closed | None, now: datetime) -> Published:
        """Add up what was published; ``closed`` is what was counted for good before. Raises :class:`TransientError`.

        The same answer whoever asks, and however often: nothing is added to what is there, only to what was closed.
        """
        today = now.astimezone(UTC).date()
        # Metrics come late, by minutes or an hour; a day is closed when the next one is over.
        closing = today - _DAY
        if closed is None:
            closed = Closed(today - _REMEMBERED, 0)
        first = max(today - _REMEMBERED, min(closed.before, today - _RECENT))
        days = self._published_by_day(first, now)
        total = closed.total + sum(count for day, count in days.items() if day >= closed.before)
        if closing > closed.before:
            late = sum(count for day, count in days.items() if day >= closing)
            closed = Closed(closing, total - late)
        recent = sum(count for day, count in days.items() if day >= today - _RECENT)
        return Published(total=total, last_30_days=recent, closed=closed)

    def stored(self, now: datetime) -> Stored | None:
        """Return S3's last measurement, None before the first. Raises :class:`TransientError`."""
        with aws_call("GetMetricStatistics of BucketSizeBytes"):
            answer = self._cloudwatch.get_metric_statistics(
                Namespace="AWS/S3",
                MetricName="BucketSizeBytes",
                Dimensions=[
                    {"Name": "BucketName", "Value": self._bucket},
                    {"Name": "StorageType", "Value": "StandardStorage"},
                ],
                StartTime=now - _MEASURED_WITHIN,
                EndTime=now,
                Period=_DAY_SECONDS,
                Statistics=["Average"],
            )
        points = sorted((point["Timestamp"], point["Average"]) for point in answer["Datapoints"])
        return Stored(round(points[-1][1]), points[-1][0]) if points else None

    def _published_by_day(self, first: date, now: datetime) -> Mapping[date, int]:
        with aws_call("GetMetricStatistics of Submissions"):
            answer = self._cloudwatch.get_metric_statistics(
                Namespace=NAMESPACE,
                MetricName="Submissions",
                Dimensions=[
                    {"Name": "stage", "Value": self._stage},
                    {"Name": "service", "Value": SERVICE},
                    {"Name": "verdict", "Value": Kind.PUBLISHED.value},
                ],
                StartTime=datetime.combine(first, time(), UTC),
                EndTime=now,
                Period=_DAY_SECONDS,
                Statistics=["Sum"],
            )
        return {point["Timestamp"].astimezone(UTC).date(): round(point["Sum"]) for point in answer["Datapoints"]}
