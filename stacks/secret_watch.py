"""Who but Assay's own functions touches the signing key: told within minutes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.alarm_topic import AlarmTopic
from stacks.alarms import RUNBOOKS

_CALLS: Final = (
    # Read the key, or have it where somebody else's policy says who reads it.
    *("GetSecretValue", "BatchGetSecretValue", "ReplicateSecretToRegions"),
    # Put another key in its place, or bring back one that was revoked.
    *("PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage", "DeleteSecret", "RestoreSecret"),
    # Have a function of one's own called with it, or let a key grow old. A schedule's rotation makes neither call.
    *("RotateSecret", "CancelRotateSecret"),
    # Open the lock: the policy that keeps administrators out.
    *("PutResourcePolicy", "DeleteResourcePolicy"),
)
# CloudTrail puts the version of Lambda's API behind these, some with a "v2". The last is not CreateFunctionUrlConfig.
_CODE_CALLS: Final = ("UpdateFunctionCode", "UpdateFunctionConfiguration", "CreateFunction2")
_CLOUDFORMATION: Final = "cloudformation.amazonaws.com"
_FROM_CLOUDTRAIL: Final = ["AWS API Call via CloudTrail"]


class SecretWatch(Construct):
    """I8: sees CloudTrail's management events, tries that were refused among them, and tells ``topic``.

    Two rules: for calls on the secret by anybody but ``allowed``, and for what puts other code under those roles, which
    then reads the key as one of ``functions`` would. What CloudFormation does to ``functions`` is left out: each
    deployment changes their code, and who deploys can change this watch as well.

    CloudTrail has to deliver them: an account or organisation that logs management events in a trail, reads included,
    is taken for granted and not made here, for it is the account's and not one deployment's.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: str,
        secret_name: str,
        allowed: Sequence[iam.IRole],
        functions: Sequence[lambda_.IFunction],
        topic: AlarmTopic,
    ) -> None:
        super().__init__(scope, construct_id)
        secret = events.CfnRule(
            self,
            "Rule",
            description=f"Assay {stage}: the signing key was read or changed by anyone but Assay's functions",
            # The plain ENABLED leaves out all that CloudTrail takes for a mere read, GetSecretValue first of all.
            state="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
            event_pattern=_on_the_secret(secret_name, allowed),
            targets=[_message(topic, f"Assay {stage}: <call> on the signing key")],
        )
        code = events.CfnRule(
            self,
            "Code",
            description=f"Assay {stage}: other code may read the signing key, and no deployment put it there",
            state="ENABLED",
            event_pattern=_on_code(functions, allowed),
            targets=[_message(topic, f"Assay {stage}: <call>, of code that may read the signing key,")],
        )
        topic.accept_events_of(secret.attr_arn, code.attr_arn)


def _on_the_secret(secret_name: str, allowed: Sequence[iam.IRole]) -> dict[str, object]:
    return {
        "source": ["aws.secretsmanager"],
        "detail-type": _FROM_CLOUDTRAIL,
        "detail": {
            "eventSource": ["secretsmanager.amazonaws.com"],
            "eventName": list(_CALLS),
            "$or": [
                {"requestParameters": {"secretId": _names(secret_name)}},
                {"requestParameters": {"secretIdList": _names(secret_name)}},
                # What was refused may come without its parameters; the message names the secret.
                {"errorMessage": [{"wildcard": f"*{secret_name}*"}]},
            ],
            # A pattern that only excludes roles would not match users and the account's root, who act in none.
            "userIdentity": {
                "$or": [
                    {"sessionContext": {"sessionIssuer": {"arn": [{"anything-but": _arns(allowed)}]}}},
                    {"sessionContext": {"sessionIssuer": {"arn": [{"exists": False}]}}},
                ]
            },
        },
    }


def _on_code(functions: Sequence[lambda_.IFunction], allowed: Sequence[iam.IRole]) -> dict[str, object]:
    names = [function.function_name for function in functions]
    endings = [f":function:{name}" for name in names]
    ours = [*names, *(function.function_arn for function in functions)]
    return {
        "source": ["aws.lambda"],
        "detail-type": _FROM_CLOUDTRAIL,
        "detail": {
            "eventSource": ["lambda.amazonaws.com"],
            "eventName": [{"prefix": call} for call in _CODE_CALLS],
            "$or": [
                {
                    # By name, or by ARN in full or in part.
                    "requestParameters": {"functionName": [*names, *({"suffix": ending} for ending in endings)]},
                    "sourceIPAddress": [{"anything-but": [_CLOUDFORMATION]}],
                },
                # A function of somebody's own with a role of ours, by CloudFormation, too.
                {"requestParameters": {"role": _arns(allowed), "functionName": [{"anything-but": ours}]}},
                {"errorMessage": [{"wildcard": f"*{ending}*"} for ending in endings]},
            ],
        },
    }


def _message(topic: AlarmTopic, what: str) -> events.CfnRule.TargetProperty:
    return events.CfnRule.TargetProperty(
        id="Topic",
        arn=topic.topic_arn,
        input_transformer=events.CfnRule.InputTransformerProperty(
            input_paths_map={
                "call": "$.detail.eventName",
                "who": "$.detail.userIdentity.arn",
                "from": "$.detail.sourceIPAddress",
                "at": "$.detail.eventTime",
                "error": "$.detail.errorCode",
            },
            input_template=(
                f'"{what} by <who> from <from> at <at>. Refused: <error>. Runbook: {RUNBOOKS}/secret-access.md"'
            ),
        ),
    )


def _names(secret_name: str) -> list[object]:
    # By name, or by ARN with and without the six characters that Secrets Manager appends.
    return [secret_name, {"wildcard": f"arn:*:secret:{secret_name}"}, {"wildcard": f"arn:*:secret:{secret_name}-*"}]


def _arns(roles: Sequence[iam.IRole]) -> list[str]:
    return [role.role_arn for role in roles]
