"""What Lambda calls: a batch of queue messages in, the ids of those that must come again out."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.ingest.adapters.clients import Clients
from lambdas.ingest.deadline import Deadline
from lambdas.ingest.delivery import Delivery, Message
from lambdas.ingest.wiring import build_delivery
from nixcache.errors import PermanentError
from protocol.policy import PolicyCode, SubmissionPolicy
from protocol.settings import IngestSettings

Handler: TypeAlias = Callable[[dict[str, Any], LambdaContext], PartialItemFailureResponse]


def start() -> Delivery:
    """Put ingest together as the environment says.

    Raises :class:`PermanentError` (``settings-malformed``, ``policy-malformed``).
    """
    settings = IngestSettings.from_environment(os.environ)
    try:
        policy = Path(settings.policy_file).read_bytes()
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

    def handle(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
        delivery = started()
        deadline = Deadline(lambda: context.get_remaining_time_in_millis() / 1000)
        # Who has come most often goes first: only the first is sure of its turn, and nobody may come in vain for ever.
        records = sorted(event["Records"], key=_receives, reverse=True)

        def take(record: SQSRecord) -> None:
            delivery.take(
                Message(
                    message_id=record.message_id,
                    receipt_handle=record.receipt_handle,
                    receives=int(record.attributes.approximate_receive_count),
                    body=record.body,
                ),
                deadline,
            )

        # A batch that failed as a whole is reported like any other: an invocation error would say less, and alarm.
        processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        return process_partial_response(
            event={**event, "Records": records}, record_handler=take, processor=processor, context=context
        )

    return handle


def _receives(record: dict[str, Any]) -> int:
    return int(record["attributes"]["ApproximateReceiveCount"])


handler = make_handler(start)
