"""Messages that ingest gave up: what they are about, and back into the queue with them.

By hand and not by SQS's own move task: that one takes all or nothing, and tells nothing of what it takes. A message is
sent before it is deleted, so a crash in between leaves it twice, which ingest takes as once (I6).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

from assayctl.errors import aws
from protocol import wake

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

_HELD_SECONDS: Final = 120
"""For how long a letter that was looked at is seen by nobody else; what is left alone comes back after it."""
_PAGE: Final = 10
_WAIT_SECONDS: Final = 1
"""Long polling asks every server of SQS; without it a short queue often looks empty."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message: since when it waits, how often it was received, and the objects that it names."""

    message_id: str
    receipt_handle: str
    body: str
    sent_at: datetime
    receives: int

    @property
    def about(self) -> tuple[str, ...]:
        """The keys of what it is about; the begin of its text where it is neither S3's nor ours."""
        try:
            document = json.loads(self.body)
            if wake.is_wake(document):
                return (str(document["submission"]),)
            return tuple(unquote_plus(record["s3"]["object"]["key"]) for record in document["Records"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return (ascii(self.body[:80]),)


class DeadLetterQueue:
    """The dead letters of one deployment, and the queue that they came from."""

    def __init__(self, sqs: SQSClient, *, dead_letters_url: str, queue_url: str) -> None:
        self._sqs = sqs
        self._dead_letters_url = dead_letters_url
        self._queue_url = queue_url

    def look(self) -> list[DeadLetter]:
        """Return what can be received now, each once, and hold it; raises :class:`TransientError`.

        All of it before anything is done with one: what is let go meanwhile would be received again, and again.
        """
        held: dict[str, DeadLetter] = {}
        while page := self._page():
            held |= {message["MessageId"]: _letter(message) for message in page}
        return list(held.values())

    def redrive(self, letter: DeadLetter) -> None:
        """Give it to ingest once more; raises :class:`TransientError`."""
        with aws(f"The message {letter.message_id} cannot be sent to the queue"):
            self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=letter.body)
        self.discard(letter)

    def discard(self, letter: DeadLetter) -> None:
        """Delete it; raises :class:`TransientError`."""
        with aws(f"The message {letter.message_id} cannot be deleted"):
            self._sqs.delete_message(QueueUrl=self._dead_letters_url, ReceiptHandle=letter.receipt_handle)

    def leave(self, letter: DeadLetter) -> None:
        """Let others see it at once; raises :class:`TransientError`."""
        with aws(f"The message {letter.message_id} cannot be released"):
            self._sqs.change_message_visibility(
                QueueUrl=self._dead_letters_url, ReceiptHandle=letter.receipt_handle, VisibilityTimeout=0
            )

    def _page(self) -> list[MessageTypeDef]:
        with aws("The dead letters cannot be received"):
            return self._sqs.receive_message(
                QueueUrl=self._dead_letters_url,
                MaxNumberOfMessages=_PAGE,
                VisibilityTimeout=_HELD_SECONDS,
                WaitTimeSeconds=_WAIT_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            ).get("Messages", [])


def _letter(message: MessageTypeDef) -> DeadLetter:
    attributes = message["Attributes"]
    return DeadLetter(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        body=message["Body"],
        sent_at=datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
        receives=int(attributes["ApproximateReceiveCount"]),
    )
