"""What a deployment is watched by: alarms, the watch over the signing key, the dashboard, the budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct, IConstruct

from stacks.alarm_topic import AlarmTopic
from stacks.alarms import Alarms
from stacks.budget import MonthlyBudget
from stacks.dashboard import Dashboard
from stacks.ingest_function import INGEST_MEMORY_MIB
from stacks.ingest_queue import IngestQueue
from stacks.secret_watch import SecretWatch


class Operations(Construct):
    """The last construct of its stack: it watches all functions that are there by then."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: str,
        queue: IngestQueue,
        cache: s3.IBucket,
        log_group: logs.ILogGroup,
        secret_name: str,
        secret_roles: Sequence[iam.IRole],
        alarm_email: str | None,
        monthly_budget_usd: int | None,
    ) -> None:
        super().__init__(scope, construct_id)
        functions = dict(sorted(_functions(cdk.Stack.of(self))))
        topic = AlarmTopic(self, "AlarmTopic", stage=stage, email=alarm_email)
        alarms = Alarms(self, "Alarms", stage=stage, queue=queue, functions=functions, topic=topic)
        SecretWatch(
            self,
            "SecretWatch",
            stage=stage,
            secret_name=secret_name,
            allowed=secret_roles,
            functions=[function for function in functions.values() if _acts_as(function, secret_roles)],
            topic=topic,
        )
        Dashboard(
            self,
            "Dashboard",
            stage=stage,
            queue=queue,
            cache=cache,
            ingest=functions["ingest"],
            ingest_memory_mib=INGEST_MEMORY_MIB,
            functions=functions,
            log_group=log_group,
            alarms=alarms.all,
        )
        if monthly_budget_usd is not None:
            MonthlyBudget(self, "Budget", stage=stage, usd=monthly_budget_usd, topic=topic)
        self.topic = topic


def _functions(root: IConstruct) -> Iterator[tuple[str, lambda_.IFunction]]:
    """Yield every function of ours, by the package that it runs: none that somebody adds is left unwatched."""
    for construct in root.node.find_all():
        if isinstance(construct, lambda_.Function):
            resource = construct.node.default_child
            if isinstance(resource, lambda_.CfnFunction) and resource.handler is not None:
                _, package, *_ = resource.handler.split(".")
                yield package, construct


def _acts_as(function: lambda_.IFunction, roles: Sequence[iam.IRole]) -> bool:
    return function.role is not None and function.role.node.path in {role.node.path for role in roles}
