"""What every bucket of Assay has in common."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct


class PrivateBucket(s3.Bucket):
    """A bucket that is closed to the public, speaks TLS 1.2 or newer only, and is encrypted with S3's own keys.

    S3's own keys, not KMS: everything in these buckets is either public once published or says nothing secret, and
    a KMS call for each object would be paid for with no attacker kept out.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        kind: str,
        stage: str,
        versioned: bool,
        lifecycle_rules: Sequence[s3.LifecycleRule],
        access_logs: s3.IBucket | None,
        object_ownership: s3.ObjectOwnership = s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            bucket_name=bucket_name(scope, kind=kind, stage=stage),
            versioned=versioned,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=object_ownership,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            lifecycle_rules=[
                # The parts of an upload that died are invisible and cost like any object.
                s3.LifecycleRule(abort_incomplete_multipart_upload_after=cdk.Duration.days(1)),
                *lifecycle_rules,
            ],
            # Staging, too, which nothing outlives: CloudFormation deletes no bucket that holds anything, and a stack
            # that is to be destroyed would fail half way. Only what a failed first deployment has made goes with it.
            removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix=None if access_logs is None else f"{kind}/",
        )


def bucket_name(scope: Construct, *, kind: str, stage: str, region: str | None = None) -> str:
    """The bucket's name, in the stack's own region or another.

    Fixed, with account and region in it, so that a policy can say the ARN without referring to the bucket.
    """
    stack = cdk.Stack.of(scope)
    return f"assay-{stage}-{kind}-{stack.account}-{region or stack.region}"
