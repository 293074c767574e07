"""One message of the queue, start to end."""

from __future__ import annotations

from lambdas.ingest.events import MessageError, Misnamed, Notice, Stray, parse_message
from lambdas.ingest.ports import Telemetry
from lambdas.ingest.use_case import Ingest


class Delivery:
    """Takes messages; one that returns may be deleted, one that raises must come again."""

    def __init__(self, ingest: Ingest, telemetry: Telemetry, *, staging_bucket: str) -> None:
        """Hand submissions in ``staging_bucket`` to ``ingest``."""
        self._ingest = ingest
        self._telemetry = telemetry
        self._staging_bucket = staging_bucket

    def take(self, message_id: str, body: str) -> None:
        """Do all that ``body`` asks for; raises if anything in it must be done again."""
        try:
            notices = parse_message(body, staging_bucket=self._staging_bucket)
        except MessageError as error:
            self._telemetry.put_back(f"message {message_id}", error)
            raise
        failures: list[Exception] = []
        for notice in notices:
            try:
                self._take(notice)
            except Exception as error:  # noqa: BLE001 - even a bug fails only what it met; the rest goes on
                self._telemetry.put_back(str(notice.key), error)
                failures.append(error)
        if failures:
            raise ExceptionGroup(f"{len(failures)} of {len(notices)} events failed", failures)

    def _take(self, notice: Notice) -> None:
        match notice:
            case Stray(problem=problem, key=key):
                self._telemetry.stray(key, problem)
            case Misnamed():
                self._ingest.refuse(notice)
            case _:
                self._ingest.judge(notice)
