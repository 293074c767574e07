"""SQS: a standard queue with visibility, receive counts and redrive, in simulated time."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from tests.simulator.clock import Clock
from tests.simulator.errors import RefusedError
from tests.simulator.requests import Answer

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import (
        ChangeMessageVisibilityRequestTypeDef,
        DeleteMessageBatchRequestTypeDef,
        DeleteMessageRequestTypeDef,
        ReceiveMessageRequestTypeDef,
        SendMessageBatchRequestTypeDef,
        SendMessageRequestTypeDef,
    )

MAX_BATCH: Final = 10
"""Messages in one batch, either way."""
MAX_VISIBILITY_SECONDS: Final = 43_200
_ERRORS: Final = "AWS.SimpleQueueService."


@dataclass(slots=True)
class Message:
    """One message; times in seconds of the clock. ``receives`` counts deliveries, the receipt handle is of the last."""

    message_id: str
    body: str
    sent: float
    visible_at: float
    receives: int = 0
    receipt_handle: str = ""

    @property
    def md5(self) -> str:
        """Return what AWS sends along with a body."""
        return hashlib.md5(self.body.encode(), usedforsecurity=False).hexdigest()


class Queue:
    """One queue, oldest message first: a test that wants another order names the message that it receives."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        state: threading.RLock,
        *,
        account: str,
        region: str,
        visibility_seconds: int,
        max_receive_count: int,
    ) -> None:
        """Make an empty one; ``state`` keeps two from changing it at once.

        A message that was received ``max_receive_count`` times goes to the dead letters.
        """
        self.name = name
        self.url = f"https://sqs.{region}.amazonaws.com/{account}/{name}"
        self.arn = f"arn:aws:sqs:{region}:{account}:{name}"
        self.dead_letters: list[Message] = []
        self._clock = clock
        self._state = state
        self._visibility_seconds = visibility_seconds
        self._max_receive_count = max_receive_count
        self._messages: dict[str, Message] = {}
        self._serial = count()

    @property
    def messages(self) -> list[Message]:
        """All messages that are not deleted: visible, in flight or delayed."""
        with self._state:
            return list(self._messages.values())

    @property
    def visible(self) -> list[Message]:
        """The messages that may be received now."""
        now = self._clock.seconds()
        return [message for message in self.messages if message.visible_at <= now]

    def send(self, body: str, *, delay: float = 0) -> Message:
        """Add a message."""
        now = self._clock.seconds()
        message = Message(f"message-{next(self._serial)}", body, now, now + delay)
        with self._state:
            self._messages[message.message_id] = message
        return message

    def receive(self, limit: int = MAX_BATCH, *, visibility_seconds: int | None = None) -> list[Message]:
        """Take up to ``limit`` messages, the oldest first; they stay until they are deleted."""
        taken: list[Message] = []
        with self._state:
            for message in self.visible:
                if len(taken) == limit:
                    break
                if self.take(message, visibility_seconds=visibility_seconds):
                    taken.append(message)
        return taken

    def take(self, message: Message, *, visibility_seconds: int | None = None) -> bool:
        """Receive this one; False if it goes to the dead letters instead."""
        with self._state:
            if message.receives >= self._max_receive_count:
                del self._messages[message.message_id]
                self.dead_letters.append(message)
                return False
            message.receives += 1
            message.receipt_handle = f"{message.message_id}#{message.receives}"
            seconds = self._visibility_seconds if visibility_seconds is None else visibility_seconds
            message.visible_at = self._clock.seconds() + seconds
            return True

    def delete(self, receipt_handle: str) -> None:
        """Delete a message. By the handle of an earlier delivery nothing happens, which SQS does not promise either."""
        with self._state:
            message = self._received(receipt_handle)
            if message is not None and message.receipt_handle == receipt_handle:
                del self._messages[message.message_id]

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Have a message in flight come again after ``seconds``."""
        if not 0 <= seconds <= MAX_VISIBILITY_SECONDS:
            raise RefusedError("InvalidParameterValue", f"Value {seconds} for parameter VisibilityTimeout is invalid.")
        now = self._clock.seconds()
        with self._state:
            message = self._received(receipt_handle)
            if message is None or message.receipt_handle != receipt_handle or message.visible_at <= now:
                raise RefusedError("InvalidParameterValue", "Message does not exist or is not in flight.")
            message.visible_at = now + seconds

    def _received(self, receipt_handle: str) -> Message | None:
        message_id, hash_sign, _ = receipt_handle.partition("#")
        if not hash_sign:
            raise RefusedError("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
        return self._messages.get(message_id)


class Queues:
    """All queues, and SQS's operations on them. The state's lock is held by whoever calls one."""

    def __init__(self) -> None:
        """Start without a queue."""
        self._by_url: dict[str, Queue] = {}

    def add(self, queue: Queue) -> None:
        """Add a queue."""
        self._by_url[queue.url] = queue

    def send_message(self, request: SendMessageRequestTypeDef) -> Answer:
        message = self._find(request["QueueUrl"]).send(request["MessageBody"], delay=request.get("DelaySeconds", 0))
        return {"MessageId": message.message_id, "MD5OfMessageBody": message.md5}

    def send_message_batch(self, request: SendMessageBatchRequestTypeDef) -> Answer:
        queue, entries = self._find(request["QueueUrl"]), request["Entries"]
        _check_batch([entry["Id"] for entry in entries])
        sent = [
            (entry["Id"], queue.send(entry["MessageBody"], delay=entry.get("DelaySeconds", 0))) for entry in entries
        ]
        return {
            "Successful": [
                {"Id": entry_id, "MessageId": message.message_id, "MD5OfMessageBody": message.md5}
                for entry_id, message in sent
            ]
        }

    def receive_message(self, request: ReceiveMessageRequestTypeDef) -> Answer:
        limit = request.get("MaxNumberOfMessages", 1)
        if not 1 <= limit <= MAX_BATCH:
            raise RefusedError("InvalidParameterValue", "MaxNumberOfMessages")
        received = self._find(request["QueueUrl"]).receive(limit, visibility_seconds=request.get("VisibilityTimeout"))
        if not received:
            return {}
        with_attributes = bool(request.get("MessageSystemAttributeNames"))
        return {"Messages": [_describe(message, with_attributes=with_attributes) for message in received]}

    def change_message_visibility(self, request: ChangeMessageVisibilityRequestTypeDef) -> Answer:
        self._find(request["QueueUrl"]).change_visibility(request["ReceiptHandle"], request["VisibilityTimeout"])
        return {}

    def delete_message(self, request: DeleteMessageRequestTypeDef) -> Answer:
        self._find(request["QueueUrl"]).delete(request["ReceiptHandle"])
        return {}

    def delete_message_batch(self, request: DeleteMessageBatchRequestTypeDef) -> Answer:
        queue, entries = self._find(request["QueueUrl"]), request["Entries"]
        _check_batch([entry["Id"] for entry in entries])
        for entry in entries:
            queue.delete(entry["ReceiptHandle"])
        return {"Successful": [{"Id": entry["Id"]} for entry in entries]}

    def _find(self, url: str) -> Queue:
        try:
            return self._by_url[url]
        except KeyError:
            raise RefusedError(f"{_ERRORS}NonExistentQueue", "The specified queue does not exist.") from None


def system_attributes(message: Message) -> dict[str, str]:
    """Return what SQS tells of a message that was received."""
    return {"ApproximateReceiveCount": str(message.receives), "SentTimestamp": str(int(message.sent * 1000))}


def _describe(message: Message, *, with_attributes: bool) -> Answer:
    answer: Answer = {
        "MessageId": message.message_id,
        "ReceiptHandle": message.receipt_handle,
        "MD5OfBody": message.md5,
        "Body": message.body,
    }
    return answer | ({"Attributes": system_attributes(message)} if with_attributes else {})


def _check_batch(ids: list[str]) -> None:
    if not ids:
        raise RefusedError(f"{_ERRORS}EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(ids) > MAX_BATCH:
        raise RefusedError(f"{_ERRORS}TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10.")
    if len(set(ids)) < len(ids):
        raise RefusedError(f"{_ERRORS}BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id.")
