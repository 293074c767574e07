"""Logs and metrics for CloudWatch: one log line and one metric for each verdict.

A store path is metadata of its metric and never a dimension: each dimension value is a metric of its own to pay for.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from lambdas.ingest.submission import Submission
from nixcache.errors import AssayError
from nixcache.store_path import StorePath
from protocol.verdicts import Published, Rejected, Verdict

SERVICE: Final = "ingest"
NAMESPACE: Final = "Assay"


class CloudWatch:
    """Writes to standard output, which Lambda passes on: logs as JSON, metrics in the embedded metric format."""

    def __init__(self) -> None:
        """Log as :data:`SERVICE`."""
        self._logger = Logger(service=SERVICE)

    def judged(self, submission: Submission, store_path: StorePath | None, verdict: Verdict) -> None:
        """See :class:`lambdas.ingest.ports.Telemetry`."""
        about = {
            "builder": str(submission.builder),
            "submission": str(submission.key),
            "version_id": submission.version_id,
            "store_path": store_path.base_name if store_path else None,
        }
        reason = asdict(verdict) if isinstance(verdict, Rejected) else {}
        warnings = [warning.code for warning in verdict.warnings] if isinstance(verdict, Published) else []
        self._logger.info(
            "verdict", extra={**about, "verdict": verdict.kind.value, "reason": reason, "warnings": warnings}
        )
        _count(verdict.kind.value.title().replace("-", ""), {**about, "code": reason.get("code")})

    def stray(self, key: str, problem: str) -> None:
        """See :class:`lambdas.ingest.ports.Telemetry`."""
        self._logger.warning("stray event", key=key, problem=problem)
        _count("Stray", {"key": key})

    def put_back(self, what: str, error: Exception) -> None:
        """See :class:`lambdas.ingest.ports.Telemetry`. An error that nobody foresaw is a bug: log its traceback."""
        foreseen = isinstance(error, AssayError)
        self._logger.error("back to the queue", about=what, error=str(error), exc_info=None if foreseen else error)
        _count("PutBack", {"about": what, "error": type(error).__name__})


def _count(name: str, metadata: dict[str, str | None]) -> None:
    with single_metric(name=name, unit=MetricUnit.Count, value=1, namespace=NAMESPACE) as metric:
        metric.add_dimension(name="service", value=SERVICE)
        for key, value in metadata.items():
            if value is not None:
                metric.add_metadata(key=key, value=value)
