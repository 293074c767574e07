"""The event source mapping: takes batches off the queue, invokes the function, deletes what did not fail."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.aws import REGION
from local.function import FunctionError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_IDLE_SECONDS = 0.25  # where AWS would poll for 20 seconds: a wait that Ctrl-C can end


class EventSource:
    """One poller. Visibility and dead letters are the queue's own business; a poller only ever receives and deletes."""

    def __init__(
        self,
        sqs: SQSClient,
        *,
        queue_url: str,
        queue_arn: str,
        batch_size: int,
        invoke: Callable[[dict[str, Any]], object],
    ) -> None:
        """``invoke`` gets the event and returns the handler's response, or raises :class:`FunctionError`."""
        self._sqs = sqs
        self._queue_url = queue_url
        self._queue_arn = queue_arn
        self._batch_size = batch_size
        self._invoke = invoke

    def run(self, stop: threading.Event) -> None:
        """Poll until ``stop`` is set. An AWS error ends nothing: the next poll may go well."""
        while not stop.is_set():
            try:
                received = self.poll_once()
            except (BotoCoreError, ClientError) as error:
                print(f"event source: {error}", file=sys.stderr)
                received = 0
            if not received:
                stop.wait(_IDLE_SECONDS)

    def poll_once(self) -> int:
        """Deliver one batch, if there is one; return the number of messages that were received."""
        messages = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=self._batch_size,
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        if messages:
            self._deliver(messages)
        return len(messages)

    def _deliver(self, messages: Sequence[MessageTypeDef]) -> None:
        message_ids = [message["MessageId"] for message in messages]
        try:
            failed = failed_messages(self._invoke(self._event(messages)), message_ids)
        except FunctionError as error:
            print(f"event source: {error}", file=sys.stderr)
            failed = set(message_ids)
        done = [message for message in messages if message["MessageId"] not in failed]
        if done:
            self._sqs.delete_message_batch(
                QueueUrl=self._queue_url,
                Entries=[
                    {"Id": str(position), "ReceiptHandle": message["ReceiptHandle"]}
                    for position, message in enumerate(done)
                ],
            )

    def _event(self, messages: Sequence[MessageTypeDef]) -> dict[str, Any]:
        """Return the event in the shape in which Lambda gets it."""
        return {
            "Records": [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message.get("Attributes", {}),
                    "messageAttributes": message.get("MessageAttributes", {}),
                    "md5OfBody": message["MD5OfBody"],
                    "eventSource": "aws:sqs",
                    "eventSourceARN": self._queue_arn,
                    "awsRegion": REGION,
                }
                for message in messages
            ]
        }


def failed_messages(response: object, message_ids: Sequence[str]) -> set[str]:
    """Return the ids that stay in the queue, by the rules of ReportBatchItemFailures.

    Nothing reported: all succeeded. Anything that AWS cannot read as a report of messages in this batch: all failed.
    """
    if response is None or response == {}:
        return set()
    report = response.get("batchItemFailures", ()) if isinstance(response, Mapping) else ()
    if report is None:
        return set()
    if not isinstance(report, list):
        return set(message_ids)
    reported = [item.get("itemIdentifier") if isinstance(item, Mapping) else None for item in report]
    failed = {message_id for message_id in message_ids if message_id in reported}
    return failed if all(message_id in message_ids for message_id in reported) else set(message_ids)
