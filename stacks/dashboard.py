"""What an operator looks at: is it well, how much, how fast, what is wrong, what does it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from protocol.verdicts import Kind
from stacks.ingest_queue import IngestQueue
from stacks.metrics import FIVE_MINUTES, IngestMetrics, stored

_COLOURS: Final = {
    Kind.PUBLISHED: "#2ca02c",
    Kind.DUPLICATE: "#98df8a",
    Kind.WAITING: "#aec7e8",
    Kind.AWAITING_QUORUM: "#1f77b4",
    Kind.CONFLICT: "#d62728",
    Kind.REJECTED: "#ff7f0e",
}
_DAY: Final = cdk.Duration.days(1)
_WIDTH: Final = 24
_HALF: Final = 12
_THIRD: Final = 8

# US dollars, as in bench/prices.py: eu-central-1's list, arm64. What they leave out says the widget's title.
_LAMBDA_GB_SECOND: Final = 0.0000133334
_LAMBDA_REQUEST: Final = 0.20 / 1_000_000
_S3_GB_MONTH: Final = 0.0245
_DAYS_OF_A_MONTH: Final = 365 / 12


class Dashboard(cloudwatch.Dashboard):
    """One page, top to bottom from the question of whether all is well to single submissions."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: str,
        queue: IngestQueue,
        cache: s3.IBucket,
        ingest: lambda_.IFunction,
        ingest_memory_mib: int,
        functions: Mapping[str, lambda_.IFunction],
        log_group: logs.ILogGroup,
        alarms: Sequence[cloudwatch.IAlarm],
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            dashboard_name=f"assay-{stage}",
            default_interval=cdk.Duration.hours(12),
            period_override=cloudwatch.PeriodOverride.AUTO,
        )
        metrics = IngestMetrics(stage)
        self.add_widgets(*_head(stage, alarms))
        self.add_widgets(_today(metrics))
        self.add_widgets(_verdicts(metrics), _queue(queue))
        self.add_widgets(*_speed(metrics, ingest))
        self.add_widgets(*_trouble(metrics, functions))
        self.add_widgets(*_volume(cache, ingest, ingest_memory_mib))
        self.add_widgets(*_single_submissions(log_group))


def _head(stage: str, alarms: Sequence[cloudwatch.IAlarm]) -> tuple[cloudwatch.IWidget, ...]:
    text = (
        f"# Assay · {stage}\n"
        "Builders submit, ingest proves, signs and publishes. **waiting** is for references, **awaiting-quorum** for "
        "other builders: both go on by themselves. **conflict** and **rejected** tell their builder why. "
        "What to do about an alarm: `docs/runbooks/`."
    )
    return (
        cloudwatch.TextWidget(markdown=text, width=_HALF, height=4),
        cloudwatch.AlarmStatusWidget(alarms=alarms, title="Alarms", width=_HALF, height=4),
    )


def _today(metrics: IngestMetrics) -> cloudwatch.IWidget:
    return cloudwatch.SingleValueWidget(
        title="The last 24 hours",
        width=_WIDTH,
        height=4,
        set_period_to_time_range=False,
        metrics=[
            *(metrics.submissions(kind, period=_DAY, label=kind.value) for kind in Kind),
            metrics.total("NarBytes", period=_DAY, label="NAR bytes verified"),
            metrics.total("FileBytes", period=_DAY, label="compressed"),
        ],
        period=_DAY,
        sparkline=False,
    )


def _verdicts(metrics: IngestMetrics) -> cloudwatch.IWidget:
    return cloudwatch.GraphWidget(
        title="Verdicts",
        width=_HALF,
        height=7,
        stacked=True,
        left=[metrics.submissions(kind, label=kind.value).with_(color=colour) for kind, colour in _COLOURS.items()],
        left_y_axis=cloudwatch.YAxisProps(min=0, label="in 5 minutes", show_units=False),
    )


def _queue(queue: IngestQueue) -> cloudwatch.IWidget:
    return cloudwatch.GraphWidget(
        title="Queue: how many, and how old the oldest is",
        width=_HALF,
        height=7,
        left=[
            queue.metric_approximate_number_of_messages_visible(statistic="Maximum", label="to be judged"),
            queue.metric_approximate_number_of_messages_not_visible(
                statistic="Maximum", label="being judged, or resting"
            ),
            queue.dead_letters.metric_approximate_number_of_messages_visible(
                statistic="Maximum", label="dead letters", color="#d62728"
            ),
        ],
        right=[queue.metric_approximate_age_of_oldest_message(statistic="Maximum", label="oldest", color="#7f7f7f")],
        left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        right_y_axis=cloudwatch.YAxisProps(min=0, label="seconds", show_units=False),
    )


def _speed(metrics: IngestMetrics, ingest: lambda_.IFunction) -> tuple[cloudwatch.IWidget, ...]:
    read = {"bytes": metrics.total("NarBytes"), "seconds": metrics.total("VerifySeconds")}
    return (
        cloudwatch.GraphWidget(
            title="Verifying: MB of NAR a second, each container",
            width=_THIRD,
            height=6,
            left=[
                cloudwatch.MathExpression(
                    expression="bytes / seconds / 1000000", using_metrics=read, label="MB/s", period=FIVE_MINUTES
                )
            ],
            left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        ),
        cloudwatch.GraphWidget(
            title="Bytes verified in 5 minutes",
            width=_THIRD,
            height=6,
            left=[metrics.total("NarBytes", label="NAR"), metrics.total("FileBytes", label="compressed")],
            left_y_axis=cloudwatch.YAxisProps(min=0),
        ),
        cloudwatch.GraphWidget(
            title="Ingest: how long a batch takes",
            width=_THIRD,
            height=6,
            left=[
                ingest.metric_duration(statistic=statistic, label=statistic) for statistic in ("p50", "p95", "Maximum")
            ],
            right=[ingest.metric("ConcurrentExecutions", statistic="Maximum", label="containers", color="#7f7f7f")],
            left_y_axis=cloudwatch.YAxisProps(min=0),
            right_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        ),
    )


def _trouble(metrics: IngestMetrics, functions: Mapping[str, lambda_.IFunction]) -> tuple[cloudwatch.IWidget, ...]:
    return (
        cloudwatch.GraphWidget(
            title="Lies and contradictions",
            width=_THIRD,
            height=6,
            left=[
                metrics.total("Disproved", label="disproved by their bytes"),
                metrics.submissions(Kind.CONFLICT, label="in conflict with another"),
                metrics.total("Stray", label="objects that are no submission"),
            ],
            left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        ),
        cloudwatch.GraphWidget(
            title="Back to the queue, for trouble that is no builder's fault",
            width=_THIRD,
            height=6,
            left=[metrics.total("PutBack", label="put back")],
            left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        ),
        cloudwatch.GraphWidget(
            title="Functions: failed, and refused by Lambda",
            width=_THIRD,
            height=6,
            left=[
                *(function.metric_errors(label=f"{name}: errors") for name, function in functions.items()),
                *(function.metric_throttles(label=f"{name}: throttles") for name, function in functions.items()),
            ],
            left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        ),
    )


def _volume(cache: s3.IBucket, ingest: lambda_.IFunction, memory_mib: int) -> tuple[cloudwatch.IWidget, ...]:
    size = stored(cache, "BucketSizeBytes", storage="StandardStorage", label="bytes")
    objects = stored(cache, "NumberOfObjects", storage="AllStorageTypes", label="objects")
    cost = cloudwatch.MathExpression(
        expression=(
            f"duration / 1000 * {memory_mib / 1024:.6f} * {_LAMBDA_GB_SECOND:.10f} + calls * {_LAMBDA_REQUEST:.8f}"
            f" + FILL(size, REPEAT) / 1000000000 * {_S3_GB_MONTH / _DAYS_OF_A_MONTH:.8f}"
        ),
        using_metrics={
            "duration": ingest.metric_duration(statistic="Sum", period=_DAY),
            "calls": ingest.metric_invocations(statistic="Sum", period=_DAY),
            "size": size,
        },
        period=_DAY,
        label="US$ a day",
    )
    return (
        cloudwatch.GraphWidget(
            title="The cache, as S3 measures it once a day",
            width=_HALF,
            height=6,
            left=[size],
            right=[objects],
            left_y_axis=cloudwatch.YAxisProps(min=0),
            right_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
            start="-P30D",
        ),
        cloudwatch.GraphWidget(
            title="Roughly what a day costs: ingest and storage, at list prices, without requests and what is read",
            width=_HALF,
            height=6,
            left=[cost],
            left_y_axis=cloudwatch.YAxisProps(min=0, label="US$", show_units=False),
            start="-P30D",
        ),
    )


def _single_submissions(log_group: logs.ILogGroup) -> tuple[cloudwatch.IWidget, ...]:
    names = [log_group.log_group_name]
    return (
        cloudwatch.LogQueryWidget(
            title="Rejected, and why",
            width=_HALF,
            height=8,
            view=cloudwatch.LogQueryVisualizationType.TABLE,
            log_group_names=names,
            query_lines=[
                "fields @timestamp, builder, store_path, code, reason.problem",
                'filter message = "verdict" and verdict = "rejected"',
                "sort @timestamp desc",
                "limit 20",
            ],
        ),
        cloudwatch.LogQueryWidget(
            title="Builders",
            width=_HALF,
            height=8,
            view=cloudwatch.LogQueryVisualizationType.TABLE,
            log_group_names=names,
            query_lines=[
                'filter message = "verdict"',
                "stats count(*) as submissions by builder, verdict",
                "sort submissions desc",
                "limit 20",
            ],
        ),
    )
