"""What a test does with a queue that no client can: look in without a request, and choose what is delivered next."""

from __future__ import annotations

import json
import threading

import pytest
from botocore.exceptions import ClientError

from tests.simulator.aws import SimulatedAws, lambda_event


def test_any_message_can_be_delivered_next() -> None:
    """SQS keeps no order, so a test must be able to choose a bad one."""
    queue = SimulatedAws().create_queue("q")
    first, second = queue.send("first"), queue.send("second")
    assert queue.take(second)
    assert [message.body for message in queue.visible] == ["first"]
    assert queue.receive() == [first]
    assert queue.visible == []
    assert queue.messages == [first, second]


def test_time_passes_only_by_the_clock() -> None:
    aws = SimulatedAws()
    queue = aws.create_queue("q", visibility_seconds=100, max_receive_count=2)
    message = queue.send("x", delay=10)
    assert queue.receive() == []
    aws.clock.advance(10)
    assert queue.receive() == [message]
    aws.clock.advance(99.9)
    assert queue.receive() == []
    aws.clock.advance(0.1)
    assert queue.receive() == [message]
    queue.change_visibility(message.receipt_handle, 5)
    aws.clock.advance(5)
    assert queue.receive() == []
    assert (queue.messages, queue.dead_letters) == ([], [message])


def test_the_handle_of_an_earlier_delivery_is_worth_nothing() -> None:
    aws = SimulatedAws()
    queue = aws.create_queue("q", visibility_seconds=1)
    message = queue.send("x")
    queue.receive()
    earlier = message.receipt_handle
    aws.clock.advance(1)
    queue.receive()
    queue.delete(earlier)
    assert queue.messages == [message]
    sqs = aws.connect().sqs
    with pytest.raises(ClientError):
        sqs.change_message_visibility(QueueUrl=queue.url, ReceiptHandle=earlier, VisibilityTimeout=0)
    queue.delete(message.receipt_handle)
    assert queue.messages == []


def test_lambda_gets_what_sqs_knows_of_a_message() -> None:
    queue = SimulatedAws().create_queue("q")
    queue.send(json.dumps({"a": 1}))
    (message,) = queue.receive()
    records = lambda_event(queue, [message])["Records"]
    assert isinstance(records, list)
    (record,) = records
    assert record["messageId"] == message.message_id
    assert record["receiptHandle"] == message.receipt_handle
    assert json.loads(record["body"]) == {"a": 1}
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["eventSourceARN"] == queue.arn


def test_threads_that_receive_at_once_share_the_messages() -> None:
    queue = SimulatedAws().create_queue("q")
    bodies = [str(number) for number in range(200)]
    for body in bodies:
        queue.send(body)
    received: list[str] = []

    def work() -> None:
        while messages := queue.receive(3):
            for message in messages:
                received.append(message.body)
                queue.delete(message.receipt_handle)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(received) == sorted(bodies)
    assert queue.messages == []
