"""The numbers that alarms and dashboard look at, by CloudWatch's names."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_s3 as s3

from protocol.verdicts import Kind

NAMESPACE: Final = "Assay"
FIVE_MINUTES: Final = cdk.Duration.minutes(5)


class IngestMetrics:
    """What ingest counts (``lambdas/ingest/adapters/telemetry.py``), of one stage."""

    def __init__(self, stage: str) -> None:
        self._dimensions = {"stage": stage, "service": "ingest"}

    def submissions(
        self, verdict: Kind, *, period: cdk.Duration = FIVE_MINUTES, label: str | None = None
    ) -> cloudwatch.Metric:
        """How many ended with ``verdict``; one that waits is counted again when it goes on."""
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name="Submissions",
            dimensions_map={**self._dimensions, "verdict": verdict.value},
            statistic="Sum",
            period=period,
            label=label,
        )

    def total(self, name: str, *, period: cdk.Duration = FIVE_MINUTES, label: str | None = None) -> cloudwatch.Metric:
        """The sum of a metric without a verdict, such as ``Disproved``."""
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=name,
            dimensions_map=self._dimensions,
            statistic="Sum",
            period=period,
            label=label,
        )


def stored(bucket: s3.IBucket, name: str, *, storage: str, label: str) -> cloudwatch.Metric:
    """What S3 measures of a bucket once a day (``BucketSizeBytes``, ``NumberOfObjects``)."""
    return cloudwatch.Metric(
        namespace="AWS/S3",
        metric_name=name,
        dimensions_map={"BucketName": bucket.bucket_name, "StorageType": storage},
        statistic="Average",
        period=cdk.Duration.days(1),
        label=label,
    )
