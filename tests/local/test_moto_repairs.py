"""I6, of the local service: no message is lost by moto itself, or the blame would be ours."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, sqs_backends

from local.moto_repairs import repair

ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.fixture
def queue() -> Iterator[Queue]:
    repair()
    with mock_aws():
        sqs = boto3.client("sqs", region_name=REGION, aws_access_key_id="any", aws_secret_access_key="any")
        sqs.create_queue(QueueName="queue")
        yield sqs_backends[ACCOUNT][REGION].queues["queue"]


def message(number: int) -> Message:
    made = Message(str(number), "body")
    made.mark_sent()
    return made


class ArrivingAtTheEnd(list[Message]):
    """The list of a queue to which another thread adds a message, when a third one has just walked over it."""

    def __init__(self, queue: Queue, arriving: Message) -> None:
        super().__init__(queue._messages)
        self._queue = queue
        self._arriving: Message | None = arriving

    def __iter__(self) -> Iterator[Message]:
        yield from super().__iter__()
        arriving, self._arriving = self._arriving, None
        if arriving is not None:
            self._queue.add_message(arriving)


def test_what_arrives_while_another_is_deleted_stays(queue: Queue) -> None:
    first, second = message(1), message(2)
    queue.add_message(first)
    first.mark_received()
    queue._messages = ArrivingAtTheEnd(queue, second)
    assert first.receipt_handle
    queue.delete_message(first.receipt_handle)
    assert queue.messages == [second]


def test_a_message_can_be_deleted_twice_but_not_without_its_handle(queue: Queue) -> None:
    one = message(1)
    queue.add_message(one)
    one.mark_received(visibility_timeout=30)
    assert queue.messages == []
    assert one.receipt_handle
    queue.delete_message(one.receipt_handle)
    queue.delete_message(one.receipt_handle)
    with pytest.raises(ReceiptHandleIsInvalid):
        queue.delete_message("another")
