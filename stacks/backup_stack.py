"""The bucket that the backup lies in: a stack of its own, since a stack is of one region."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct

from nixcache.errors import AssayError
from stacks.config import Config
from stacks.nag import acknowledge
from stacks.permissions_boundary import permissions_boundary
from stacks.private_bucket import PrivateBucket

BACKUP: Final = "backup"
"""The kind of bucket, in its name."""


class BackupError(AssayError):
    """A backup was asked for of a stage that is to have none."""


class BackupStack(cdk.Stack):
    """One bucket, which S3 itself writes (`stacks.replication`), and an operator reads when all else is lost.

    Raises `BackupError` where the configuration names no region for it.
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: Config) -> None:
        if config.backup_region is None:
            raise BackupError(f"The stage {config.stage} has no backupRegion: write one into its configuration.")
        super().__init__(
            scope,
            construct_id,
            description="Assay: the copy of a cache in another region",
            env=cdk.Environment(account=config.account, region=config.backup_region),
            permissions_boundary=permissions_boundary(config.permissions_boundary),
            tags=dict(config.tags),
            termination_protection=config.protect,
        )
        bucket = PrivateBucket(
            self,
            "Backup",
            kind=BACKUP,
            stage=config.stage,
            versioned=True,
            # What was overwritten at the other end, by whom it should not have been, is here for as long.
            lifecycle_rules=[s3.LifecycleRule(noncurrent_version_expiration=cdk.Duration.days(90))],
            access_logs=None,
        )
        acknowledge(
            bucket,
            "S1",
            because="A bucket for its logs would be one more of this region; only S3 writes here, and nobody reads.",
        )
        cdk.CfnOutput(self, "BackupBucket", value=bucket.bucket_name)
