"""What a month may cost before somebody is told."""

from __future__ import annotations

from aws_cdk import aws_budgets as budgets
from constructs import Construct

from stacks.alarm_topic import AlarmTopic


class MonthlyBudget(Construct):
    """Tells ``topic`` when the account has spent 80 % of ``usd`` in a month, and when it is going to spend all.

    The whole account, whatever else is in it: costs by tag are known only after somebody has activated the tag where
    the account is paid, and until then a budget by tag would stay at zero and say that all is well.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: str, usd: int, topic: AlarmTopic) -> None:
        super().__init__(scope, construct_id)
        topic.accept_budgets()
        subscriber = budgets.CfnBudget.SubscriberProperty(subscription_type="SNS", address=topic.topic_arn)
        budget = budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name=f"assay-{stage}",
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=usd, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type=kind, comparison_operator="GREATER_THAN", threshold=percent
                    ),
                    subscribers=[subscriber],
                )
                for kind, percent in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
        )
        # AWS tries the topic when it takes the budget, so the permission has to be there before.
        budget.node.add_dependency(topic)
