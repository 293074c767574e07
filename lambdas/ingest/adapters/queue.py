"""The queue, from its other end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from lambdas.ingest.adapters.aws_call import aws_call
from nixcache.errors import TransientError
from protocol import wake
from protocol.keys import StagingNarInfoKey

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_BATCH: Final = 10
"""Messages that SendMessageBatch takes."""


class SqsQueue:
    """Sends wake messages, and says when a message comes again."""

    def __init__(self, sqs: SQSClient, url: str) -> None:
        """Send to the queue at ``url``."""
        self._sqs = sqs
        self._url = url

    def wake(self, submissions: Iterable[StagingNarInfoKey]) -> None:
        """See :class:`lambdas.ingest.ports.Queue`."""
        bodies = [wake.render(key) for key in submissions]
        for start in range(0, len(bodies), MAX_BATCH):
            with aws_call("SendMessageBatch"):
                answer = self._sqs.send_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(position), "MessageBody": body}
                        for position, body in enumerate(bodies[start : start + MAX_BATCH])
                    ],
                )
            if failed := answer.get("Failed"):
                raise TransientError(f"SendMessageBatch refused {len(failed)} messages: {failed[0]['Code']}.")

    def rest(self, receipt_handle: str, *, seconds: int) -> None:
        """See :class:`lambdas.ingest.ports.Queue`."""
        with aws_call("ChangeMessageVisibility"):
            self._sqs.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )
