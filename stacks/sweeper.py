"""The function that has overdue submissions judged again, once a day."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from protocol.keys import WAITING_PREFIX
from protocol.settings import SweepSettings
from stacks.ingest_queue import IngestQueue
from stacks.nag import acknowledge_wildcard

_MEMORY_MIB: Final = 256
# A page of 1000 markers takes one request to list and a hundred to wake, some 1.5 seconds: half a million fit.
_TIMEOUT: Final = cdk.Duration.minutes(15)


class Sweeper(Construct):
    """Lists waiting markers, and sends wake messages: it can neither read nor write what they are about."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        ledger: s3.IBucket,
        queue: IngestQueue,
        code: lambda_.Code,
        settings: SweepSettings,
    ) -> None:
        super().__init__(scope, construct_id)
        log_group = logs.LogGroup(
            self, "Logs", retention=logs.RetentionDays.THREE_MONTHS, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        role.add_to_policy(
            iam.PolicyStatement(
                sid="ListMarkers",
                actions=["s3:ListBucket"],
                resources=[ledger.bucket_arn],
                conditions={"StringLike": {"s3:prefix": f"{WAITING_PREFIX}*"}},
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(sid="WakeOverdue", actions=["sqs:SendMessage"], resources=[queue.queue_arn])
        )
        role.add_to_policy(
            iam.PolicyStatement(
                sid="Log", actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn]
            )
        )
        acknowledge_wildcard(role, "*", because="X-Ray's PutTraceSegments and PutTelemetryRecords take no resource.")
        function = lambda_.Function(
            self,
            "Function",
            description="Assay: has submissions judged again that have waited too long",
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            handler="lambdas.sweep.handler.handler",
            code=code,
            memory_size=_MEMORY_MIB,
            timeout=_TIMEOUT,
            role=role,
            log_group=log_group,
            tracing=lambda_.Tracing.ACTIVE,
            environment=settings.to_environment(),
        )
        events.Rule(
            self,
            "Daily",
            description="Assay: sweep waiting markers",
            schedule=events.Schedule.rate(cdk.Duration.days(1)),
            targets=[targets.LambdaFunction(function, retry_attempts=2)],
        )
