"""What operators see of ingest: a line of the log for each verdict and each verification, with its metrics in it.

A store path is a field of its line and never a dimension: each dimension value is a metric of its own to pay for.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from lambdas.emf import EventLog, Level, Metric, Unit
from lambdas.ingest.submission import Submission
from nixcache.errors import AssayError, Code
from nixcache.store_path import StorePath
from protocol.verdicts import Published, Rejected, Verdict

SERVICE: Final = "ingest"

DISPROVED: Final = frozenset(
    (
        Code.COMPRESSED_DATA_MALFORMED,
        Code.NAR_MALFORMED,
        Code.NAR_TRAILING_DATA,
        Code.NAR_HASH_MISMATCH,
        Code.NAR_SIZE_MISMATCH,
        Code.FILE_HASH_MISMATCH,
        Code.FILE_SIZE_MISMATCH,
        Code.REFERENCE_NOT_FOUND,
        Code.CA_MISMATCH,
    )
)
"""What only the bytes of a NAR can show: their builder, its disk or its network is broken, or it lies."""


class CloudWatch:
    """Counts submissions by verdict, disproved ones, strays, what goes back to the queue, and verified bytes."""

    def __init__(self, stage: str) -> None:
        """Write for the deployment ``stage``."""
        self._log = EventLog(service=SERVICE, stage=stage)

    def verified(
        self, submission: Submission, store_path: StorePath, *, nar_size: int, file_size: int, seconds: float
    ) -> None:
        """See :class:`lambdas.ingest.ports.Telemetry`.

        Bytes and seconds, not their quotient: sums of both give the true speed of any period, and small paths, which
        take longer to open than to read, do not drown the large ones.
        """
        self._log.write(
            "verified",
            _about(submission, store_path),
            metrics=(
                Metric("NarBytes", nar_size, Unit.BYTES),
                Metric("FileBytes", file_size, Unit.BYTES),
                Metric("VerifySeconds", seconds, Unit.SECONDS),
            ),
        )

    def judged(self, submission: Submission, store_path: StorePath | None, verdict: Verdict) -> None:
        """See :class:`lambdas.ingest.ports.Telemetry`."""
        about = {**_about(submission, store_path), "verdict": verdict.kind.value}
        metrics = [Metric("Submissions", 1, dimension="verdict")]
        match verdict:
            case Rejected(code=code):
                about |= {"code": code, "reason": asdict(verdict)}
                if code in DISPROVED:
                    metrics.append(Metric("Disproved", 1))
            case Published(warnings=warnings) if warnings:
                about["warnings"] = [warning.code for warning in warnings]
        self._log.write("verdict", about, metrics=metrics)

    def stray(self, key: str, problem: str) -> None:
        """See :class:`lambdas.ingest.ports.Telemetry`."""
        about = {"key": key, "problem": problem}
        self._log.write("stray event", about, metrics=[Metric("Stray", 1)], level=Level.WARNING)

    def put_back(self, what: str, error: Exception) -> None:
        """See :class:`lambdas.ingest.ports.Telemetry`. An error that nobody foresaw is a bug: log its traceback."""
        self._log.write(
            "back to the queue",
            {"about": what, "error": type(error).__name__, "problem": str(error)},
            metrics=[Metric("PutBack", 1)],
            level=Level.ERROR,
            bug=None if isinstance(error, AssayError) else error,
        )


def _about(submission: Submission, store_path: StorePath | None) -> dict[str, object]:
    return {
        "builder": str(submission.builder),
        "submission": str(submission.key),
        "version_id": submission.version_id,
        "store_path": store_path.base_name if store_path else None,
    }
