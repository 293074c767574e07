"""A cache bucket in moto, and CloudWatch beside it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import botocore.session
import pytest
from botocore.config import Config
from mypy_boto3_cloudwatch import CloudWatchClient
from mypy_boto3_s3 import S3Client

from lambdas.emf import NAMESPACE
from lambdas.site.handler import Clients
from local.aws import REGION, Aws
from protocol.settings import SiteSettings

_SESSION = botocore.session.Session()  # it keeps the services' models: to load them takes longer than a test

NOW = datetime(2025, 3, 10, 10, 30, tzinfo=UTC)
"""Long ago: moto measures its buckets itself, today."""


@dataclass(frozen=True, slots=True)
class Site:
    """A deployment as far as the site function sees it, and an administrator's eyes on its bucket."""

    aws: Aws
    clients: Clients
    settings: SiteSettings

    def get(self, key: str) -> bytes:
        return self.clients.s3.get_object(Bucket=self.settings.cache_bucket, Key=key)["Body"].read()

    def put(self, key: str, body: bytes) -> None:
        self.clients.s3.put_object(Bucket=self.settings.cache_bucket, Key=key, Body=body)

    def everything(self) -> dict[str, bytes]:
        listed = self.clients.s3.list_objects_v2(Bucket=self.settings.cache_bucket)
        return {item["Key"]: self.get(item["Key"]) for item in listed.get("Contents", [])}

    def count(self, count: int, *, verdict: str = "published", stage: str | None = None, ago: timedelta) -> None:
        """Count verdicts as ingest's metric does, some time before NOW."""
        names = {"stage": stage or self.settings.stage, "service": "ingest", "verdict": verdict}
        self.clients.cloudwatch.put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {
                    "MetricName": "Submissions",
                    "Dimensions": [{"Name": name, "Value": value} for name, value in names.items()],
                    "Timestamp": NOW - ago,
                    "Value": count,
                    "Unit": "Count",
                }
            ],
        )


@pytest.fixture
def site(aws: Aws) -> Site:
    # Named anew for each test, the stage too: moto keeps what the others counted.
    name = uuid.uuid4().hex
    arguments: dict[str, Any] = {
        "endpoint_url": aws.endpoint,
        "region_name": REGION,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "config": Config(retries={"total_max_attempts": 1}, proxies={}),
    }
    clients = Clients(
        s3=cast("S3Client", _SESSION.create_client("s3", **arguments)),
        cloudwatch=cast("CloudWatchClient", _SESSION.create_client("cloudwatch", **arguments)),
    )
    clients.s3.create_bucket(Bucket=f"cache-{name}")
    settings = SiteSettings(
        cache_bucket=f"cache-{name}", cache_url="https://cache.example.org", is_private=False, stage=f"test-{name}"
    )
    return Site(aws, clients, settings)
