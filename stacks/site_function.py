"""The function that writes nix-cache-info, the landing page and its counts."""

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

from protocol.keys import INDEX_KEY, NIX_CACHE_INFO_KEY, PUBLIC_KEYS_JSON_KEY, STATUS_KEY
from protocol.settings import SiteSettings
from stacks.nag import acknowledge_wildcard

_MEMORY_MIB: Final = 512
_TIMEOUT: Final = cdk.Duration.minutes(1)
# After a rollback, too: then the function is the one before, and the page is to be that one's.
_DEPLOYED: Final = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")


class SiteFunction(Construct):
    """Writes three objects of the cache bucket: it cannot touch a store object's, nor read anything secret.

    CloudFormation itself calls it when a deployment is done; a custom resource would hold up each deployment for it,
    and fail it for a page.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        cache: s3.IBucket,
        code: lambda_.Code,
        settings: SiteSettings,
    ) -> None:
        super().__init__(scope, construct_id)
        log_group = logs.LogGroup(
            self, "Logs", retention=logs.RetentionDays.THREE_MONTHS, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        written = [cache.arn_for_objects(key) for key in (NIX_CACHE_INFO_KEY, INDEX_KEY, STATUS_KEY)]
        read = [cache.arn_for_objects(key) for key in (PUBLIC_KEYS_JSON_KEY, STATUS_KEY)]
        # Without ListBucket a missing key is answered with 403, and "no keys yet" would look like trouble.
        for sid, actions, resources in (
            ("WriteTheSite", ["s3:PutObject"], written),
            ("ReadKeysAndCounts", ["s3:GetObject"], read),
            ("TellWhatIsMissing", ["s3:ListBucket"], [cache.bucket_arn]),
            ("Count", ["cloudwatch:GetMetricStatistics"], ["*"]),
            ("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], [log_group.log_group_arn]),
        ):
            role.add_to_policy(iam.PolicyStatement(sid=sid, actions=actions, resources=resources))
        acknowledge_wildcard(
            role, "*", because="X-Ray's PutTraceSegments and CloudWatch's GetMetricStatistics take no resource."
        )
        self.function = lambda_.Function(
            self,
            "Function",
            description="Assay: writes nix-cache-info, the landing page and its counts",
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            handler="lambdas.site.handler.handler",
            code=code,
            memory_size=_MEMORY_MIB,
            timeout=_TIMEOUT,
            role=role,
            log_group=log_group,
            tracing=lambda_.Tracing.ACTIVE,
            environment=settings.to_environment(),
        )
        target = targets.LambdaFunction(self.function, retry_attempts=2)
        events.Rule(
            self,
            "Deployed",
            description="Assay: write the landing page when a deployment is done",
            event_pattern=events.EventPattern(
                source=["aws.cloudformation"],
                detail_type=["CloudFormation Stack Status Change"],
                detail={"stack-id": [cdk.Stack.of(self).stack_id], "status-details": {"status": list(_DEPLOYED)}},
            ),
            targets=[target],
        )
        events.Rule(
            self,
            "EveryQuarterOfAnHour",
            description="Assay: write the landing page with new counts and keys",
            schedule=events.Schedule.rate(cdk.Duration.minutes(15)),
            targets=[target],
        )
