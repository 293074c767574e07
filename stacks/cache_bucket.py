"""Where clients read."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from protocol.keys import NARINFO_SUFFIX
from stacks.private_bucket import PrivateBucket
from stacks.write_once import WriteOnce


class CacheBucket(PrivateBucket):
    """The binary cache. Private: clients reach it through a content delivery network that is given read access.

    I3: whoever writes a narinfo, ingest and administrators included, writes a new one; ``narinfos`` names who may not.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: str, access_logs: s3.IBucket) -> None:
        super().__init__(
            scope,
            construct_id,
            kind="cache",
            stage=stage,
            versioned=True,
            # A NAR or a listing that was published twice leaves an older version, and the two are equal. A narinfo that
            # was re-signed leaves one with fewer signatures.
            lifecycle_rules=[s3.LifecycleRule(noncurrent_version_expiration=cdk.Duration.days(30))],
            access_logs=access_logs,
        )
        self.narinfos = WriteOnce(self, f"*{NARINFO_SUFFIX}", sid="PublishedNarinfoIsNeverReplaced")
