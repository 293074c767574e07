"""What Lambda calls: a batch of queue messages in, the ids of those that must come again out."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from lambdas.context import Context
from lambdas.ingest.adapters.clients import Clients
from lambdas.ingest.deadline import Deadline
from lambdas.ingest.delivery import Delivery, Message
from lambdas.ingest.wiring import build_delivery
from nixcache.errors import PermanentError
from protocol.policy import PolicyCode, SubmissionPolicy
from protocol.settings import IngestSettings


class FailedMessage(TypedDict):
    """One that has to come again, by its id."""

    itemIdentifier: str


class BatchResponse(TypedDict):
    """What Lambda deletes from the queue: all messages but these."""

    batchItemFailures: list[FailedMessage]


Handler: TypeAlias = Callable[[dict[str, Any], Context], BatchResponse]


def start() -> Delivery:
    """Put ingest together as the environment says.

    Raises :class:`PermanentError` (``settings-malformed``, ``policy-malformed``).
    """
    settings = IngestSettings.from_environment(os.environ)
    try:
        # Relative to the code, wherever that was unpacked.
        policy = (Path(__file__).parents[2] / settings.policy_file).read_bytes()
    except OSError as error:
        raise PermanentError(
            PolicyCode.POLICY_MALFORMED,
            f"The policy {settings.policy_file} cannot be read: {error.strerror}.",
            remedy="Deploy the stack again: it puts the policy beside the code.",
        ) from error
    return build_delivery(settings, SubmissionPolicy.from_json(policy), Clients.connect())


def make_handler(start_container: Callable[[], Delivery]) -> Handler:
    """Return a handler that calls ``start_container`` at its first event, and keeps what that returns."""
    started = cache(start_container)

    def handle(event: dict[str, Any], context: Context) -> BatchResponse:
        delivery = started()
        deadline = Deadline(lambda: context.get_remaining_time_in_millis() / 1000)
        # Who has come most often goes first: only the first is sure of its turn, and nobody may come in vain for ever.
        records = sorted(event["Records"], key=_receives, reverse=True)

        failed: list[FailedMessage] = []
        for record in records:
            try:
                delivery.take(_message(record), deadline)
            except Exception:  # noqa: BLE001 - logged where it was met; whatever it is, the other messages go on
                failed.append({"itemIdentifier": record["messageId"]})
        # Also where all have failed: an error of the invocation would say less, and alarm.
        return {"batchItemFailures": failed}

    return handle


def _message(record: dict[str, Any]) -> Message:
    return Message(
        message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        receives=_receives(record),
        body=record["body"],
    )


def _receives(record: dict[str, Any]) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])


handler = make_handler(start)
