"""One line for each thing that happened: CloudWatch's log, and in it the metrics (the embedded metric format, EMF).

One line and not two: what is counted is looked up where it was counted, and logs are paid for by the byte.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NAMESPACE: Final = "Assay"
"""Of all metrics, in CloudWatch."""


class Level(StrEnum):
    """How much a line matters."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Unit(StrEnum):
    """CloudWatch's names of units."""

    COUNT = "Count"
    BYTES = "Bytes"
    SECONDS = "Seconds"


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that CloudWatch adds up by stage and service, and by the field that ``dimension`` names, if any.

    Each value of a dimension is a metric of its own to pay for: a verdict may be one, and a store path never.
    """

    name: str
    value: float
    unit: Unit = Unit.COUNT
    dimension: str | None = None


class EventLog:
    """Writes to standard output, which Lambda passes on to CloudWatch."""

    def __init__(self, *, service: str, stage: str, now: Callable[[], float] = time.time) -> None:
        """Write as ``service`` of the deployment ``stage``; ``now`` tells seconds since the epoch."""
        self._service = service
        self._stage = stage
        self._now = now

    def write(
        self,
        message: str,
        about: Mapping[str, object],
        *,
        metrics: Sequence[Metric] = (),
        level: Level = Level.INFO,
        bug: BaseException | None = None,
    ) -> None:
        """Write a line. ``about`` are its fields, by snake_case names; ``bug`` is logged with its traceback."""
        now = self._now()
        document: dict[str, object] = {
            **{name: value for name, value in about.items() if value is not None},
            "level": level.value,
            "message": message,
            "stage": self._stage,
            "service": self._service,
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        }
        # Lambda sets it anew for each invocation.
        if trace := os.environ.get("_X_AMZN_TRACE_ID"):
            document["xray_trace_id"] = trace
        if bug is not None:
            document["traceback"] = "".join(traceback.format_exception(bug))
        if metrics:
            document["_aws"] = {
                "Timestamp": int(now * 1000),
                "CloudWatchMetrics": _directives(metrics),
            }
            document.update((metric.name, metric.value) for metric in metrics)
        # ASCII, and in one piece: nothing that somebody named becomes a line of its own, and no two lines mix.
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()


def _directives(metrics: Sequence[Metric]) -> list[dict[str, object]]:
    return [
        {
            "Namespace": NAMESPACE,
            "Dimensions": [["stage", "service", *([] if dimension is None else [dimension])]],
            "Metrics": [
                {"Name": metric.name, "Unit": metric.unit.value} for metric in metrics if metric.dimension == dimension
            ],
        }
        # In the order in which they come, and so the same for equal metrics.
        for dimension in dict.fromkeys(metric.dimension for metric in metrics)
    ]
