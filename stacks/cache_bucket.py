"""Where clients read."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from protocol.keys import NARINFO_SUFFIX
from stacks.private_bucket import PrivateBucket


class CacheBucket(PrivateBucket):
    """The binary cache. Private: clients reach it through a content delivery network that is given read access.

    Whoever writes a narinfo, ingest and administrators included, writes a new one: see `_refuse_overwriting`.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: str, access_logs: s3.IBucket) -> None:
        super().__init__(
            scope,
            construct_id,
            kind="cache",
            stage=stage,
            versioned=True,
            # Only a NAR or a listing that was published twice leaves an older version, and the two are equal.
            lifecycle_rules=[s3.LifecycleRule(noncurrent_version_expiration=cdk.Duration.days(30))],
            removal_policy=cdk.RemovalPolicy.RETAIN,
            access_logs=access_logs,
        )
        self._refuse_overwriting()

    def _refuse_overwriting(self) -> None:
        """I3: a write to a narinfo is denied unless it says ``If-None-Match``, and then S3 itself refuses to replace.

        The only value that S3 takes in that header is ``*``. A multipart upload authorises its start without the
        header, so a narinfo cannot be written in parts at all; none is near the 5 GiB where it would have to be.
        """
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="PublishedNarinfoIsNeverReplaced",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:PutObject"],
                resources=[self.arn_for_objects(f"*{NARINFO_SUFFIX}")],
                conditions={"Null": {"s3:if-none-match": "true"}},
            )
        )
