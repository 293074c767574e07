"""Objects that nobody replaces, because S3 itself refuses to."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3


def refuse_overwriting(bucket: s3.Bucket, keys: str, *, sid: str) -> None:
    """Deny everybody, administrators included, a write to ``keys`` that does not say ``If-None-Match``.

    The only value that S3 takes in that header is ``*``. A multipart upload authorises its start without the header, so
    such an object cannot be written in parts at all; it has to be far below the 5 GiB where it would have to be.
    """
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            sid=sid,
            effect=iam.Effect.DENY,
            principals=[iam.AnyPrincipal()],
            actions=["s3:PutObject"],
            resources=[bucket.arn_for_objects(keys)],
            conditions={"Null": {"s3:if-none-match": "true"}},
        )
    )
