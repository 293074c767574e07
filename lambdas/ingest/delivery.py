"""One message of the queue, start to end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from lambdas.ingest.deadline import Deadline
from lambdas.ingest.events import MessageError, Misnamed, Notice, Stray, parse_message
from lambdas.ingest.ports import Queue, Telemetry
from lambdas.ingest.use_case import Ingest
from nixcache.errors import TransientError
from protocol.delivery import MAX_RETRY_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as it was received; ``receives`` counts the deliveries, this one included."""

    message_id: str
    receipt_handle: str
    receives: int
    body: str


class Delivery:
    """Takes messages; one that returns may be deleted, one that raises must come again."""

    def __init__(
        self, ingest: Ingest, queue: Queue, telemetry: Telemetry, *, staging_bucket: str, first_retry_seconds: int
    ) -> None:
        """Hand submissions in ``staging_bucket`` to ``ingest``; after trouble, let a message rest in ``queue``."""
        self._ingest = ingest
        self._queue = queue
        self._telemetry = telemetry
        self._staging_bucket = staging_bucket
        self._first_retry_seconds = first_retry_seconds

    def take(self, message: Message, deadline: Deadline) -> None:
        """Do all that ``message`` asks for until ``deadline``; raises if anything in it must be done again."""
        try:
            self._take_all(message, deadline)
        except Exception:
            self._rest(message)
            raise

    def _rest(self, message: Message) -> None:
        """Have the message come again soon at first, then ever more rarely.

        Left alone it would stay hidden for the queue's whole visibility time-out, which has to outlast six
        invocations: an hour and a half for one throttled request.
        """
        seconds = min(MAX_RETRY_SECONDS, self._first_retry_seconds * 4 ** (message.receives - 1))
        # Where this fails as well, the time-out does it: later, but surely.
        with suppress(TransientError):
            self._queue.rest(message.receipt_handle, seconds=seconds)

    def _take_all(self, message: Message, deadline: Deadline) -> None:
        try:
            notices = parse_message(message.body, staging_bucket=self._staging_bucket)
        except MessageError as error:
            self._telemetry.put_back(f"message {message.message_id}", error)
            raise
        failures: list[Exception] = []
        for notice in notices:
            try:
                self._take(notice, deadline)
            except Exception as error:  # noqa: BLE001 - even a bug fails only what it met; the rest goes on
                self._telemetry.put_back(str(notice.key), error)
                failures.append(error)
        if failures:
            raise ExceptionGroup(f"{len(failures)} of {len(notices)} events failed", failures)

    def _take(self, notice: Notice, deadline: Deadline) -> None:
        match notice:
            case Stray(problem=problem, key=key):
                self._telemetry.stray(key, problem)
            case Misnamed():
                self._ingest.refuse(notice)
            case _:
                self._ingest.judge(notice, deadline.begin())
