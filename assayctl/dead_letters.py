"""Messages that ingest gave up: what they are about, and back into the queue with them.

By hand and not by SQS's own move task: that one takes all or nothing, and tells nothing of what it takes. A message is
sent before it is deleted, so a crash in between leaves it twice, which ingest takes as once (I6).

A message that was received is hidden for a while, from the next command, too. So one run looks at a bounded number, and
lets go whatever it does not move before it ends, however it ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
AT_MOST: Final = 1000
"""Messages that one run receives: a hundred requests, which end before the first of them is seen again."""
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
                return (_shown(str(document["submission"])),)
            return tuple(_shown(unquote_plus(record["s3"]["object"]["key"])) for record in document["Records"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return (ascii(self.body[:80]),)


class DeadLetterQueue:
    """The dead letters of one deployment, and the queue that they came from."""

    def __init__(self, sqs: SQSClient, *, dead_letters_url: str, queue_url: str) -> None:
        self._sqs = sqs
        self._dead_letters_url = dead_letters_url
        self._queue_url = queue_url

    def look(self) -> Iterator[list[DeadLetter]]:
        """Yield what can be received now, page by page, and hold it; raises :class:`TransientError`.

        It is :data:`AT_MOST` at most, or hardly more. One that was held for too long comes twice.
        """
        received = 0
        while received < AT_MOST and (page := self._page()):
            received += len(page)
            yield [_letter(message) for message in page]

    def others(self) -> int:
        """Return how many more there are that nobody holds, as SQS estimates it; raises :class:`TransientError`."""
        with aws("The dead letters cannot be counted"):
            attributes = self._sqs.get_queue_attributes(
                QueueUrl=self._dead_letters_url, AttributeNames=["ApproximateNumberOfMessages"]
            )["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])

    def redrive(self, letter: DeadLetter) -> None:
        """Give it to ingest once more; raises :class:`TransientError`."""
        with aws(f"The message {letter.message_id} cannot be sent to the queue"):
            self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=letter.body)
        self.discard(letter)

    def discard(self, letter: DeadLetter) -> None:
        """Delete it; raises :class:`TransientError`."""
        with aws(f"The message {letter.message_id} cannot be deleted"):
            self._sqs.delete_message(QueueUrl=self._dead_letters_url, ReceiptHandle=letter.receipt_handle)

    def leave(self, letters: Sequence[DeadLetter]) -> None:
        """Let others see them at once; raises :class:`TransientError`.

        What AWS refuses of it is seen by now, or soon: it was held for too long.
        """
        for start in range(0, len(letters), _PAGE):
            with aws("The dead letters cannot be released"):
                self._sqs.change_message_visibility_batch(
                    QueueUrl=self._dead_letters_url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": letter.receipt_handle, "VisibilityTimeout": 0}
                        for number, letter in enumerate(letters[start : start + _PAGE])
                    ],
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


def _shown(key: str) -> str:
    """A builder chose it: no new line may look like another message, and no terminal obey it."""
    return ascii(key)[1:-1]


def _letter(message: MessageTypeDef) -> DeadLetter:
    attributes = message["Attributes"]
    return DeadLetter(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        body=message["Body"],
        sent_at=datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
        receives=int(attributes["ApproximateReceiveCount"]),
    )
