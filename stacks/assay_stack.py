"""The stack: it only puts the constructs together."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from constructs import Construct

from protocol.keys import PROVENANCE_PREFIX, WITHDRAWN_KEY
from protocol.outputs import Output
from protocol.settings import SECONDS_OF_A_DAY, IngestSettings, KeySettings, ResignSettings, SweepSettings
from stacks.access_log_bucket import AccessLogBucket
from stacks.builder_role import BuilderRole
from stacks.cache_bucket import CacheBucket
from stacks.config import Config
from stacks.delivery import Delivery
from stacks.identity_providers import IdentityProviders
from stacks.ingest_function import IngestFunction
from stacks.ingest_queue import IngestQueue
from stacks.ingest_role import IngestRole
from stacks.key_function import KeyFunction
from stacks.lambda_bundle import lambda_bundle
from stacks.ledger_bucket import LedgerBucket
from stacks.operations import Operations
from stacks.permissions_boundary import permissions_boundary
from stacks.replication import Replicated, Replication
from stacks.resigning import Resigning
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
            permissions_boundary=permissions_boundary(config.permissions_boundary),
            tags=dict(config.tags),
            termination_protection=config.protect,
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
                policy_file=_POLICY,
                max_nar_size=config.max_nar_size,
                max_expansion=config.max_expansion,
                references=config.references,
                max_waiting_seconds=max_waiting_seconds,
                publish_upstream_paths=config.publish_upstream_paths,
                upstreams=config.upstreams,
                key_overlap_days=config.key_overlap_days,
                stage=stage,
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
                stage=stage,
            ),
        )
        keys = KeyFunction(
            self,
            "Keys",
            secret=secret,
            cache=cache,
            code=code,
            rotation_days=config.key_rotation_days,
            settings=KeySettings(
                signing_secret_id=secret.name,
                cache_bucket=cache.bucket_name,
                key_name=config.key_name,
                key_overlap_days=config.key_overlap_days,
                stage=stage,
            ),
        )
        if config.key_rotation_days is None:
            secret.rotates_by_command()
        resigning = Resigning(
            self,
            "Resigning",
            stage=stage,
            cache=cache,
            ledger=ledger,
            secret=secret,
            code=code,
            settings=ResignSettings(
                cache_bucket=cache.bucket_name,
                ledger_bucket=ledger.bucket_name,
                signing_secret_id=secret.name,
                stage=stage,
            ),
        )
        signers = (role, keys.role, resigning.role)
        secret.readable_only_by(*signers)
        delivery = Delivery(
            self,
            "Delivery",
            stage=stage,
            cache=cache,
            access_logs=access_logs,
            code=code,
            domain=config.domain,
            readers=config.readers,
        )
        if config.create_identity_providers:
            IdentityProviders(self, "IdentityProviders", identities=(builder.identity for builder in config.builders))
        for builder in config.builders:
            BuilderRole(
                self,
                f"Builder-{builder.name}",
                name=builder.name,
                stage=stage,
                identity=builder.identity,
                staging=staging,
                ledger=ledger,
            )
        if config.backup_region is not None:
            Replication(
                self,
                "Backup",
                stage=stage,
                region=config.backup_region,
                replicated=(Replicated(cache), Replicated(ledger, (PROVENANCE_PREFIX, WITHDRAWN_KEY))),
            )
        # The last: it watches every function that is there by now.
        Operations(
            self,
            "Operations",
            stage=stage,
            queue=queue,
            cache=cache,
            log_group=log_group,
            secret_name=secret.name,
            secret_roles=signers,
            alarm_email=config.alarm_email,
            monthly_budget_usd=config.monthly_budget_usd,
        )
        # What an operator needs to set up a builder, and to put the key in.
        cdk.CfnOutput(self, "StagingBucket", value=staging.bucket_name)
        cdk.CfnOutput(self, "CacheBucket", value=cache.bucket_name)
        cdk.CfnOutput(self, "LedgerBucket", value=ledger.bucket_name)
        cdk.CfnOutput(self, "IngestQueueUrl", value=queue.queue_url)
        cdk.CfnOutput(self, "DeadLetterQueueUrl", value=queue.dead_letters.queue_url)
        cdk.CfnOutput(self, "SigningSecretName", value=secret.name)
        cdk.CfnOutput(self, Output.KEY_FUNCTION_NAME, value=keys.function.function_name)
        cdk.CfnOutput(self, Output.RESIGNING_STATE_MACHINE, value=resigning.state_machine_arn)
        for output, value in delivery.distribution.outputs.items():
            cdk.CfnOutput(self, output, value=value)
