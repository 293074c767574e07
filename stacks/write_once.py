"""Objects that nobody replaces, because S3 itself refuses to."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3


class WriteOnce:
    """Denies everybody, administrators included, a write to ``keys`` that does not say ``If-None-Match``.

    The only value that S3 takes in that header is ``*``. A multipart upload authorises its start without the header, so
    such an object cannot be written in parts at all; it has to be far below the 5 GiB where it would have to be.
    """

    def __init__(self, bucket: s3.Bucket, keys: str, *, sid: str) -> None:
        self._bucket = bucket
        self._keys = keys
        self._sid = sid
        self._rule = iam.PolicyStatement(
            sid=sid,
            effect=iam.Effect.DENY,
            principals=[iam.AnyPrincipal()],
            actions=["s3:PutObject"],
            resources=[bucket.arn_for_objects(keys)],
            conditions={"Null": {"s3:if-none-match": "true"}},
        )
        bucket.add_to_resource_policy(self._rule)

    def replaced_only_by(self, role: iam.IRole) -> None:
        """Let ``role`` alone write over what it names by its ETag with ``If-Match``; it cannot write anything new.

        So it loses to whoever has written since it read, and cannot put back what somebody has deleted. What it writes
        is its code's affair.
        """
        self._rule.add_condition("ArnNotEquals", {"aws:PrincipalArn": role.role_arn})
        self._bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid=f"{self._sid}Blindly",
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:PutObject"],
                resources=[self._bucket.arn_for_objects(self._keys)],
                conditions={
                    "Null": {"s3:if-match": "true"},
                    "ArnEquals": {"aws:PrincipalArn": role.role_arn},
                },
            )
        )
