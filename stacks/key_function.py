"""The function that makes the signing key, replaces it, and tells readers which to trust."""

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

from protocol.keys import PUBLIC_KEYS_JSON_KEY, PUBLIC_KEYS_KEY
from protocol.settings import KeySettings
from stacks.nag import acknowledge_wildcard
from stacks.signing_secret import SigningSecret

_MEMORY_MIB: Final = 256
_TIMEOUT: Final = cdk.Duration.minutes(1)
_DEPLOYED: Final = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")


class KeyFunction(Construct):
    """Makes keys where nobody sees them: no person and no other function writes the secret.

    CloudFormation calls it when a deployment is done, and it makes the first key then: an empty secret is what a
    template can make, and a template with a key in it would be a key that somebody has read.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        secret: SigningSecret,
        cache: s3.IBucket,
        code: lambda_.Code,
        rotation_days: int | None,
        settings: KeySettings,
    ) -> None:
        super().__init__(scope, construct_id)
        log_group = logs.LogGroup(
            self, "Logs", retention=logs.RetentionDays.THREE_MONTHS, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        for sid, actions, resources in (
            (
                "MakeKeys",
                [
                    "secretsmanager:DescribeSecret",
                    "secretsmanager:GetSecretValue",
                    "secretsmanager:PutSecretValue",
                    "secretsmanager:UpdateSecretVersionStage",
                ],
                [secret.arn_pattern],
            ),
            (
                "AnnounceThem",
                ["s3:PutObject"],
                [cache.arn_for_objects(key) for key in (PUBLIC_KEYS_KEY, PUBLIC_KEYS_JSON_KEY)],
            ),
            # Which names were given: by a document that is not there, none, and only who may list is told that.
            ("ReadWhatWasAnnounced", ["s3:GetObject"], [cache.arn_for_objects(PUBLIC_KEYS_JSON_KEY)]),
            ("TellWhatIsMissing", ["s3:ListBucket"], [cache.bucket_arn]),
            ("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], [log_group.log_group_arn]),
        ):
            self.role.add_to_policy(iam.PolicyStatement(sid=sid, actions=actions, resources=resources))
        acknowledge_wildcard(
            self.role, "*", because="X-Ray's PutTraceSegments and PutTelemetryRecords take no resource."
        )
        self.function = lambda_.Function(
            self,
            "Function",
            description="Assay: makes signing keys, and tells readers which to trust",
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            handler="lambdas.keys.handler.handler",
            code=code,
            memory_size=_MEMORY_MIB,
            timeout=_TIMEOUT,
            role=self.role,
            log_group=log_group,
            tracing=lambda_.Tracing.ACTIVE,
            environment=settings.to_environment(),
        )
        target = targets.LambdaFunction(self.function, retry_attempts=2)
        events.Rule(
            self,
            "Deployed",
            description="Assay: make the first key, and announce keys, when a deployment is done",
            event_pattern=events.EventPattern(
                source=["aws.cloudformation"],
                detail_type=["CloudFormation Stack Status Change"],
                detail={"stack-id": [cdk.Stack.of(self).stack_id], "status-details": {"status": list(_DEPLOYED)}},
            ),
            targets=[target],
        )
        events.Rule(
            self,
            "Hourly",
            description="Assay: announce keys that were imported or retired",
            schedule=events.Schedule.rate(cdk.Duration.hours(1)),
            targets=[target],
        )
        if rotation_days is not None:
            permission = lambda_.CfnPermission(
                self,
                "SecretsManagerRotates",
                action="lambda:InvokeFunction",
                function_name=self.function.function_name,
                principal="secretsmanager.amazonaws.com",
                source_account=cdk.Stack.of(self).account,
            )
            secret.rotate(self.function, days=rotation_days, after=permission)
