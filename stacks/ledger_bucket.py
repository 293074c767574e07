"""Where ingest writes down what it decided."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from protocol.keys import VOTES_PREFIX, WAITING_PREFIX
from stacks.private_bucket import PrivateBucket
from stacks.write_once import WriteOnce

# A day less than staging keeps a submission: whoever is woken is mostly still there, and what a crash or a replaced
# narinfo left over does not pile up.
_MARKERS_KEPT: Final = cdk.Duration.days(14)


class LedgerBucket(PrivateBucket):
    """Results, provenance, votes, waiting markers, orphans. Versioned: an earlier verdict stays readable for 90 days.

    S3 itself keeps a vote as it was cast: were it replaced, its builder would have stood on two sides.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: str, access_logs: s3.IBucket) -> None:
        super().__init__(
            scope,
            construct_id,
            kind="ledger",
            stage=stage,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(noncurrent_version_expiration=cdk.Duration.days(90)),
                s3.LifecycleRule(prefix=WAITING_PREFIX, expiration=_MARKERS_KEPT),
                # A waiting marker that was taken away, or has expired, leaves a delete marker.
                s3.LifecycleRule(expired_object_delete_marker=True),
            ],
            access_logs=access_logs,
        )
        WriteOnce(self, f"{VOTES_PREFIX}*", sid="VoteIsNeverReplaced")
