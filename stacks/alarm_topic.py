"""Where all alarms go."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct


class AlarmTopic(sns.Topic):
    """Tells ``email``, if there is one, who confirms by a link that AWS sends; and whoever else subscribes.

    Not encrypted at rest: CloudWatch cannot publish to a topic under SNS's own key, one of our own costs a dollar a
    month, and an alarm says nothing that a mail does not.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: str, email: str | None) -> None:
        super().__init__(scope, construct_id, display_name=f"Assay {stage}", enforce_ssl=True)
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccount",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            )
        )
        if email is not None:
            sns.CfnSubscription(self, "Email", topic_arn=self.topic_arn, protocol="email", endpoint=email)

    def accept_events_of(self, *rule_arns: str) -> None:
        """Let EventBridge publish what the rules of those ARNs match. Once: a policy may not say one Sid twice."""
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="EventsOfTheseRules",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic_arn],
                conditions={"ArnEquals": {"aws:SourceArn": list(rule_arns)}},
            )
        )

    def accept_budgets(self) -> None:
        """Let AWS Budgets publish what budgets of this account have to say."""
        self.add_to_resource_policy(
            iam.PolicyStatement(
                sid="BudgetsOfThisAccount",
                principals=[iam.ServicePrincipal("budgets.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            )
        )
