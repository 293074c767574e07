"""The stack: it only puts the constructs together."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from constructs import Construct

from protocol.settings import SECONDS_OF_A_DAY, IngestSettings, SweepSettings
from stacks.access_log_bucket import AccessLogBucket
from stacks.builder_role import BuilderRole
from stacks.cache_bucket import CacheBucket
from stacks.config import Config
from stacks.ingest_function import IngestFunction
from stacks.ingest_queue import IngestQueue
from stacks.ingest_role import IngestRole
from stacks.lambda_bundle import TASK_ROOT, lambda_bundle
from stacks.ledger_bucket import LedgerBucket
from stacks.signing_secret import SigningSecret
from stacks.staging_bucket import StagingBucket
from stacks.sweeper import Sweeper

# Beside the code and in no environment variable, of which Lambda takes 4 KB in all.
_POLICY: Final = "policy.json"


class AssayStack(cdk.Stack):
    """A whole Assay: from a builder's upload to the cache bucket.

    Bucket and queue have to share a stack, for S3's notification and the queue's policy name each other.
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: Config) -> None:
        super().__init__(
            scope,
            construct_id,
            description="Assay: a Nix binary cache for builders that nobody has to trust",
            env=cdk.Environment(account=config.account, region=config.region),
        )
        stage = config.stage
        access_logs = AccessLogBucket(self, "AccessLogs", stage=stage)
        queue = IngestQueue(self, "IngestQueue")
        staging = StagingBucket(self, "Staging", stage=stage, queue=queue, access_logs=access_logs)
        cache = CacheBucket(self, "Cache", stage=stage, access_logs=access_logs)
        ledger = LedgerBucket(self, "Ledger", stage=stage, access_logs=access_logs)
        secret = SigningSecret(self, "SigningSecret", name=config.signing_secret_name)
        log_group = logs.LogGroup(
            self, "IngestLogs", retention=logs.RetentionDays.THREE_MONTHS, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        role = IngestRole(
            self,
            "IngestRole",
            staging=staging,
            cache=cache,
            ledger=ledger,
            queue=queue,
            secret=secret,
            log_group=log_group,
        )
        secret.readable_only_by(role)
        code = lambda_bundle(documents={_POLICY: config.policy.to_json()})
        max_waiting_seconds = config.waiting_days * SECONDS_OF_A_DAY
        IngestFunction(
            self,
            "Ingest",
            role=role,
            log_group=log_group,
            queue=queue,
            code=code,
            settings=IngestSettings(
                staging_bucket=staging.bucket_name,
                cache_bucket=cache.bucket_name,
                ledger_bucket=ledger.bucket_name,
                queue_url=queue.queue_url,
                signing_secret_id=secret.name,
                policy_file=f"{TASK_ROOT}/{_POLICY}",
                max_nar_size=config.max_nar_size,
                max_expansion=config.max_expansion,
                references=config.references,
                max_waiting_seconds=max_waiting_seconds,
                publish_upstream_paths=config.publish_upstream_paths,
                upstreams=config.upstreams,
            ),
        )
        Sweeper(
            self,
            "Sweeper",
            ledger=ledger,
            queue=queue,
            code=code,
            settings=SweepSettings(
                ledger_bucket=ledger.bucket_name,
                queue_url=queue.queue_url,
                max_waiting_seconds=max_waiting_seconds,
            ),
        )
        for builder in config.builders:
            BuilderRole(
                self,
                f"Builder-{builder.name}",
                name=builder.name,
                principal=builder.principal,
                staging=staging,
                ledger=ledger,
            )
        # What an operator needs to set up a builder, and to put the key in.
        cdk.CfnOutput(self, "StagingBucket", value=staging.bucket_name)
        cdk.CfnOutput(self, "CacheBucket", value=cache.bucket_name)
        cdk.CfnOutput(self, "LedgerBucket", value=ledger.bucket_name)
        cdk.CfnOutput(self, "IngestQueueUrl", value=queue.queue_url)
        cdk.CfnOutput(self, "DeadLetterQueueUrl", value=queue.dead_letters.queue_url)
        cdk.CfnOutput(self, "SigningSecretName", value=secret.name)
