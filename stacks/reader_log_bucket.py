"""Who read what through CloudFront: its access logs."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.private_bucket import PrivateBucket


class ReaderLogBucket(PrivateBucket):
    """Keeps CloudFront's access logs for 90 days.

    CloudFront's log delivery writes by an access control list, the only thing here that does: with lists switched off,
    as they are for every other bucket, the deployment fails (docs/adr/0066). They still cannot make anything public.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: str, access_logs: s3.IBucket) -> None:
        super().__init__(
            scope,
            construct_id,
            kind="reader-logs",
            stage=stage,
            versioned=False,
            lifecycle_rules=[s3.LifecycleRule(expiration=cdk.Duration.days(90))],
            access_logs=access_logs,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_PREFERRED,
        )
