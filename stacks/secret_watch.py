"""Who but Assay's own functions touches the signing key: told within minutes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.alarm_topic import AlarmTopic
from stacks.alarms import RUNBOOKS

_CALLS: Final = (
    # Read the key, or have it where somebody else's policy says who reads it.
    *("GetSecretValue", "BatchGetSecretValue", "ReplicateSecretToRegions"),
    # Put another key in its place, or bring back one that was revoked.
    *("PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage", "DeleteSecret"),
    # Open the lock: the policy that keeps administrators out.
    *("PutResourcePolicy", "DeleteResourcePolicy"),
)


class SecretWatch(Construct):
    """I8: sees CloudTrail's management events, tries that were refused among them, and tells ``topic``.

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
        topic: AlarmTopic,
    ) -> None:
        super().__init__(scope, construct_id)
        rule = events.CfnRule(
            self,
            "Rule",
            description=f"Assay {stage}: the signing key was read or changed by anyone but Assay's functions",
            # The plain ENABLED leaves out all that CloudTrail takes for a mere read, GetSecretValue first of all.
            state="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
            event_pattern={
                "source": ["aws.secretsmanager"],
                "detail-type": ["AWS API Call via CloudTrail"],
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
            },
            targets=[
                events.CfnRule.TargetProperty(
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
                            f'"Assay {stage}: <call> on the signing key by <who> from <from> at <at>. '
                            f'Refused: <error>. Runbook: {RUNBOOKS}/secret-access.md"'
                        ),
                    ),
                )
            ],
        )
        topic.accept_events_of(rule.attr_arn)


def _names(secret_name: str) -> list[object]:
    # By name, or by ARN with and without the six characters that Secrets Manager appends.
    return [secret_name, {"wildcard": f"arn:*:secret:{secret_name}"}, {"wildcard": f"arn:*:secret:{secret_name}-*"}]


def _arns(roles: Sequence[iam.IRole]) -> list[str]:
    return [role.role_arn for role in roles]
