"""Who read and wrote which object: S3's server access logs of the other buckets."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.private_bucket import PrivateBucket


class AccessLogBucket(PrivateBucket):
    """Keeps the access logs for 90 days, one prefix for each bucket."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: str) -> None:
        super().__init__(
            scope,
            construct_id,
            kind="logs",
            stage=stage,
            versioned=False,
            lifecycle_rules=[s3.LifecycleRule(expiration=cdk.Duration.days(90))],
            access_logs=None,
        )
