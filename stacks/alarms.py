"""What wakes an operator, and what to read then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from protocol.verdicts import Kind
from stacks.ingest_queue import IngestQueue
from stacks.metrics import FIVE_MINUTES, IngestMetrics

RUNBOOKS: Final = "docs/runbooks"
"""Where they lie in the repository."""

_OLDEST_SECONDS: Final = 3600
# What meets trouble once, in passing, comes again within a minute and is nobody's affair.
_PUT_BACK_IN_PASSING: Final = 20
_QUARTER_OF_AN_HOUR: Final = 3


class Alarms(Construct):
    """One alarm for each thing that does not mend itself; each names its runbook, and tells ``topic`` of it.

    Where nothing is counted nothing is wrong: a deployment that nobody uses is quiet.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: str,
        queue: IngestQueue,
        functions: Mapping[str, lambda_.IFunction],
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        self._stage = stage
        self._topic = topic
        self.all: list[cloudwatch.IAlarm] = []
        ingest = IngestMetrics(stage)
        self._alarm(
            "DeadLetters",
            queue.dead_letters.metric_approximate_number_of_messages_visible(period=FIVE_MINUTES, statistic="Maximum"),
            "Submissions failed so often that the queue gave up on them. Their builders have no verdict.",
            runbook="dead-letters",
        )
        self._alarm(
            "OldestSubmission",
            queue.metric_approximate_age_of_oldest_message(period=FIVE_MINUTES, statistic="Maximum"),
            "A submission has been in the queue for more than an hour.",
            runbook="old-submissions",
            threshold=_OLDEST_SECONDS,
            periods=_QUARTER_OF_AN_HOUR,
        )
        self._alarm(
            "Conflicts",
            ingest.submissions(Kind.CONFLICT),
            "Two different store objects were submitted for one store path. What was published first stays.",
            runbook="conflicts",
        )
        self._alarm(
            "Disproved",
            ingest.total("Disproved"),
            "The bytes of a NAR are not what its narinfo says. Nothing of it was published.",
            runbook="poisoned-upload",
        )
        self._alarm(
            "PutBack",
            ingest.total("PutBack"),
            "Ingest meets trouble again and again: AWS, an upstream, the signing key, or a bug.",
            runbook="function-errors",
            threshold=_PUT_BACK_IN_PASSING,
            periods=_QUARTER_OF_AN_HOUR,
        )
        self._alarm(
            "FunctionErrors",
            _sum([function.metric_errors(period=FIVE_MINUTES) for function in functions.values()], "errors"),
            f"A function failed as a whole: one of {', '.join(functions)}.",
            runbook="function-errors",
        )
        self._alarm(
            "FunctionThrottles",
            _sum([function.metric_throttles(period=FIVE_MINUTES) for function in functions.values()], "throttles"),
            "Lambda has refused to start functions for a quarter of an hour: the account's concurrency is used up.",
            runbook="function-errors",
            periods=_QUARTER_OF_AN_HOUR,
        )

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        problem: str,
        *,
        runbook: str,
        threshold: float = 1,
        periods: int = 1,
    ) -> None:
        """Alarm when ``metric`` is at ``threshold`` or above for ``periods`` in a row, and tell when it is over."""
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"assay-{self._stage}-{name}",
            alarm_description=f"{problem} Runbook: {RUNBOOKS}/{runbook}.md",
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        resource = alarm.node.default_child
        assert isinstance(resource, cloudwatch.CfnAlarm)  # noqa: S101 - for the type; an alarm is made of one
        resource.alarm_actions = [self._topic.topic_arn]
        resource.ok_actions = [self._topic.topic_arn]
        self.all.append(alarm)


def _sum(metrics: Sequence[cloudwatch.IMetric], label: str) -> cloudwatch.MathExpression:
    using = {f"m{number}": metric for number, metric in enumerate(metrics)}
    return cloudwatch.MathExpression(
        expression=" + ".join(f"FILL({name}, 0)" for name in using),
        using_metrics=using,
        period=cdk.Duration.minutes(5),
        label=label,
    )
