"""Re-signing: a Distributed Map of Step Functions over the cache's listing, and the function that it calls."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from protocol.delivery import FUNCTION_TIMEOUT_SECONDS
from protocol.keys import NARINFO_SUFFIX, PROVENANCE_PREFIX
from protocol.settings import ResignSettings
from stacks.cache_bucket import CacheBucket
from stacks.nag import acknowledge_wildcard
from stacks.signing_secret import SigningSecret

# One vCPU's worth, as ingest has it for the same proof.
_MEMORY_MIB: Final = 1769
_ITEMS_OF_A_BATCH: Final = 1000
"""Keys, of which a third are narinfos: seconds where a signature is added, minutes where NARs are read."""
_BATCHES_AT_ONCE: Final = 20
"""Some 5000 requests a second to S3, which takes that of a bucket at once, and ingest has its share."""
_TRIES_IN_TROUBLE: Final = 50
"""Half an hour where AWS is at fault, and eleven hours of reading where the time is over again and again."""
_TRIES: Final = 8


class Resigning(Construct):
    """Adds the present key's signature to each narinfo, when an operator starts it.

    No batch may fail for good; one that did ends the execution, and the next finds what was done before. So it can be
    stopped and started at any time.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: str,
        cache: CacheBucket,
        ledger: s3.IBucket,
        secret: SigningSecret,
        code: lambda_.Code,
        settings: ResignSettings,
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        function = self._function(cache=cache, ledger=ledger, secret=secret, code=code, settings=settings)
        cache.narinfos.replaced_only_by(self.role)
        self.state_machine_arn = self._state_machine(f"assay-{stage}-resigning", cache, function).attr_arn

    def _function(
        self,
        *,
        cache: CacheBucket,
        ledger: s3.IBucket,
        secret: SigningSecret,
        code: lambda_.Code,
        settings: ResignSettings,
    ) -> lambda_.Function:
        log_group = logs.LogGroup(
            self, "Logs", retention=logs.RetentionDays.THREE_MONTHS, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        narinfos, nars = (cache.arn_for_objects(keys) for keys in (f"*{NARINFO_SUFFIX}", "nar/*"))
        provenance = ledger.arn_for_objects(f"{PROVENANCE_PREFIX}*")
        for sid, actions, resources in (
            ("ReadPublished", ["s3:GetObject"], [narinfos, nars]),
            ("AddSignatures", ["s3:PutObject"], [narinfos]),
            ("ReadProvenance", ["s3:GetObject"], [provenance]),
            # Without it a missing key is answered with 403, and "gone" would look like trouble.
            ("ListPublished", ["s3:ListBucket"], [cache.bucket_arn, ledger.bucket_arn]),
            ("ReadSigningKey", ["secretsmanager:GetSecretValue"], [secret.arn_pattern]),
            ("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], [log_group.log_group_arn]),
        ):
            self.role.add_to_policy(iam.PolicyStatement(sid=sid, actions=actions, resources=resources))
        for resource in (narinfos, nars, provenance):
            acknowledge_wildcard(self.role, resource, because="Every published path is re-signed.")
        acknowledge_wildcard(
            self.role, "*", because="X-Ray's PutTraceSegments and PutTelemetryRecords take no resource."
        )
        return lambda_.Function(
            self,
            "Function",
            description="Assay: adds the present key's signature to published narinfos",
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            handler="lambdas.resign.handler.handler",
            code=code,
            memory_size=_MEMORY_MIB,
            timeout=cdk.Duration.seconds(FUNCTION_TIMEOUT_SECONDS),
            role=self.role,
            log_group=log_group,
            tracing=lambda_.Tracing.ACTIVE,
            environment=settings.to_environment(),
        )

    def _state_machine(self, name: str, cache: CacheBucket, function: lambda_.Function) -> sfn.CfnStateMachine:
        log_group = logs.LogGroup(
            self, "ExecutionLogs", retention=logs.RetentionDays.THREE_MONTHS, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        role = iam.Role(self, "MachineRole", assumed_by=iam.ServicePrincipal("states.amazonaws.com"))
        # By name: a Ref of the machine in its own role's policy would be a cycle.
        machine = cdk.Stack.of(self).format_arn(
            service="states",
            resource="stateMachine",
            resource_name=name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )
        runs = [
            cdk.Stack.of(self).format_arn(
                service="states",
                resource="execution",
                resource_name=f"{name}{separator}*",
                arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
            )
            for separator in (":", "/")
        ]
        for sid, actions, resources in (
            ("RunBatches", ["lambda:InvokeFunction"], [function.function_arn]),
            ("ListPublished", ["s3:ListBucket"], [cache.bucket_arn]),
            ("StartBatches", ["states:StartExecution"], [machine]),
            ("FollowBatches", ["states:DescribeExecution", "states:StopExecution"], runs),
            (
                "DeliverLogs",
                [
                    "logs:CreateLogDelivery",
                    "logs:GetLogDelivery",
                    "logs:UpdateLogDelivery",
                    "logs:DeleteLogDelivery",
                    "logs:ListLogDeliveries",
                    "logs:PutResourcePolicy",
                    "logs:DescribeResourcePolicies",
                    "logs:DescribeLogGroups",
                ],
                ["*"],
            ),
            (
                "Trace",
                [
                    "xray:PutTraceSegments",
                    "xray:PutTelemetryRecords",
                    "xray:GetSamplingRules",
                    "xray:GetSamplingTargets",
                ],
                ["*"],
            ),
        ):
            role.add_to_policy(iam.PolicyStatement(sid=sid, actions=actions, resources=resources))
        for run in runs:
            acknowledge_wildcard(role, run, because="A Distributed Map's own executions; their names are made up.")
        acknowledge_wildcard(role, "*", because="Neither the delivery of logs nor X-Ray takes a resource.")
        resource = sfn.CfnStateMachine(
            self,
            "Machine",
            state_machine_name=name,
            state_machine_type="STANDARD",
            role_arn=role.role_arn,
            definition=_definition(
                partition=cdk.Stack.of(self).partition, bucket=cache.bucket_name, function_arn=function.function_arn
            ),
            logging_configuration=sfn.CfnStateMachine.LoggingConfigurationProperty(
                level="ALL",
                # Keys of a thousand objects a batch: what a log of them would cost, nobody would read it for.
                include_execution_data=False,
                destinations=[
                    sfn.CfnStateMachine.LogDestinationProperty(
                        cloud_watch_logs_log_group=sfn.CfnStateMachine.CloudWatchLogsLogGroupProperty(
                            log_group_arn=log_group.log_group_arn
                        )
                    )
                ],
            ),
            tracing_configuration=sfn.CfnStateMachine.TracingConfigurationProperty(enabled=True),
        )
        # Step Functions tries its role when the machine is made.
        resource.node.add_dependency(role)
        return resource


def _definition(*, partition: str, bucket: str, function_arn: str) -> dict[str, object]:
    """Return the machine in Amazon States Language."""
    return {
        "Comment": "Assay: adds the present key's signature to everything published",
        "StartAt": "EachBatch",
        "States": {
            "EachBatch": {
                "Type": "Map",
                "Label": "Batches",
                "ItemReader": {
                    "Resource": f"arn:{partition}:states:::s3:listObjectsV2",
                    "Parameters": {"Bucket": bucket},
                },
                # What else a listing says is not needed, and a batch has to fit into 256 KB.
                "ItemSelector": {"Key.$": "$$.Map.Item.Value.Key"},
                "ItemBatcher": {
                    "MaxItemsPerBatch": _ITEMS_OF_A_BATCH,
                    "BatchInput": {"request.$": "$$.Execution.Input"},
                },
                "MaxConcurrency": _BATCHES_AT_ONCE,
                "ToleratedFailurePercentage": 0,
                "ItemProcessor": {
                    # Express executions end after five minutes, and a large NAR needs more to be read.
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    "StartAt": "Batch",
                    "States": {"Batch": _batch(function_arn)},
                },
                "ResultSelector": {"notSigned.$": "$[*].notSigned"},
                "Next": "IsAllSigned",
            },
            "IsAllSigned": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.notSigned[0]", "IsPresent": True, "Next": "LeftUnsigned"}],
                "Default": "Done",
            },
            "LeftUnsigned": {
                "Type": "Fail",
                "Error": "LeftUnsigned",
                "Cause": "Some narinfos could not be signed: the function's log says which, and why. All others are.",
            },
            "Done": {"Type": "Succeed"},
        },
    }


def _batch(function_arn: str) -> dict[str, object]:
    return {
        "Type": "Task",
        "Resource": function_arn,
        "TimeoutSeconds": FUNCTION_TIMEOUT_SECONDS + 60,
        "Retry": [
            # The request is wrong, for every batch alike.
            {"ErrorEquals": ["PermanentError"], "MaxAttempts": 0},
            # The time is over, or AWS was in trouble: what is done stays done, so each try has less to do.
            {
                "ErrorEquals": ["TransientError", "States.Timeout", "Sandbox.Timedout"],
                "IntervalSeconds": 5,
                "BackoffRate": 1.5,
                "MaxDelaySeconds": 60,
                "JitterStrategy": "FULL",
                "MaxAttempts": _TRIES_IN_TROUBLE,
            },
            {
                "ErrorEquals": ["States.ALL"],
                "IntervalSeconds": 5,
                "BackoffRate": 2,
                "MaxDelaySeconds": 300,
                "JitterStrategy": "FULL",
                "MaxAttempts": _TRIES,
            },
        ],
        "End": True,
    }
