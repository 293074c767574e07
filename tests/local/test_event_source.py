"""The pump keeps to the rules of Lambda's event source mapping. The queue is moto's, over the wire."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from local.aws import UNCHECKED, Aws
from local.event_source import EventSource, failed_messages
from local.function import FunctionError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

VISIBILITY_TIMEOUT = 3600
MAX_RECEIVE_COUNT = 2


@dataclass
class Function:
    """Remembers what it was given and answers as the test says."""

    answer: Callable[[dict[str, Any]], object]
    events: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, event: dict[str, Any]) -> object:
        """Be invoked."""
        self.events.append(event)
        return self.answer(event)

    @property
    def bodies(self) -> list[list[str]]:
        """The bodies that each event brought."""
        return [[record["body"] for record in event["Records"]] for event in self.events]


@dataclass(frozen=True)
class Queue:
    """A queue with its dead-letter queue."""

    sqs: SQSClient
    url: str
    arn: str
    dead_letters: str

    def send(self, *bodies: str) -> None:
        """Put messages into the queue."""
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def source(self, function: Callable[[dict[str, Any]], object], *, batch_size: int = 5) -> EventSource:
        """Return a poller of this queue."""
        return EventSource(self.sqs, queue_url=self.url, queue_arn=self.arn, batch_size=batch_size, invoke=function)

    def time_out(self, event: dict[str, Any]) -> None:
        """Let the visibility timeout of what ``event`` brought be over now: no test waits, and none is overtaken."""
        for record in event["Records"]:
            self.sqs.change_message_visibility(
                QueueUrl=self.url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0
            )

    def depth(self) -> int:
        """Messages that were not deleted, visible or not."""
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])


@pytest.fixture
def queue(aws: Aws) -> Queue:
    sqs = aws.client("sqs", UNCHECKED)
    name = uuid.uuid4().hex
    dead_letters = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = sqs.create_queue(
        QueueName=name,
        Attributes={
            "VisibilityTimeout": str(VISIBILITY_TIMEOUT),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVE_COUNT}),
        },
    )["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return Queue(sqs, url, arn, dead_letters)


def fail(*bodies: str) -> Callable[[dict[str, Any]], object]:
    """Report the messages with these bodies as failed."""
    return lambda event: {
        "batchItemFailures": [
            {"itemIdentifier": record["messageId"]} for record in event["Records"] if record["body"] in bodies
        ]
    }


def succeed(_: dict[str, Any]) -> object:
    return {"batchItemFailures": []}


def test_an_empty_queue_invokes_nothing(queue: Queue) -> None:
    function = Function(succeed)
    assert queue.source(function).poll_once() == 0
    assert function.events == []


def test_records_have_the_shape_that_lambda_gives_them(queue: Queue) -> None:
    function = Function(succeed)
    queue.send("one")
    queue.source(function).poll_once()
    [record] = function.events[0]["Records"]
    assert record["body"] == "one"
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == queue.arn
    assert record["awsRegion"] == "us-east-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert set(record) >= {"messageId", "receiptHandle", "messageAttributes", "md5OfBody"}


def test_a_batch_is_never_larger_than_its_size(queue: Queue) -> None:
    function = Function(succeed)
    queue.send("a", "b", "c")
    source = queue.source(function, batch_size=2)
    assert [source.poll_once(), source.poll_once(), source.poll_once()] == [2, 1, 0]
    assert queue.depth() == 0


def test_only_the_successes_of_a_batch_are_deleted_and_the_failure_comes_again(queue: Queue) -> None:
    """I6: what failed is delivered again once its visibility timeout is over, not before, and nothing else is."""
    function = Function(fail("bad"))
    queue.send("good", "bad", "fine")
    source = queue.source(function)
    assert source.poll_once() == 3
    assert queue.depth() == 1
    assert source.poll_once() == 0, "still invisible"
    queue.time_out({"Records": [record for record in function.events[0]["Records"] if record["body"] == "bad"]})
    assert source.poll_once() == 1
    assert function.bodies[1] == ["bad"]
    assert function.events[1]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "2"


@pytest.mark.parametrize("problem", ["raises", "answers nonsense"])
def test_when_the_function_fails_the_whole_batch_comes_again(queue: Queue, problem: str) -> None:
    def function(_: dict[str, Any]) -> object:
        if problem == "raises":
            raise FunctionError("out of memory")
        return {"batchItemFailures": [{"itemIdentifier": "unheard of"}]}

    queue.send("a", "b")
    assert queue.source(function).poll_once() == 2
    assert queue.depth() == 2


def test_a_message_that_always_fails_becomes_a_dead_letter_and_holds_nothing_up(queue: Queue) -> None:
    """I6: it is not lost, and is no poison message for those behind it."""
    function = Function(fail("poison"))
    source = queue.source(function)
    queue.send("poison")
    for _ in range(MAX_RECEIVE_COUNT):
        assert source.poll_once() == 1
        queue.time_out(function.events[-1])
    assert source.poll_once() == 0
    queue.send("good")
    assert source.poll_once() == 1
    [dead] = queue.sqs.receive_message(QueueUrl=queue.dead_letters)["Messages"]
    assert dead["Body"] == "poison"
    assert function.bodies == [["poison"]] * MAX_RECEIVE_COUNT + [["good"]]


@pytest.mark.parametrize(
    ("response", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": ["a"]}]}, {"a", "b"}),
        ({"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "other"}]}, {"a", "b"}),
        ({"batchItemFailures": [{"messageId": "a"}]}, {"a", "b"}),
        ({"batchItemFailures": ["a"]}, {"a", "b"}),
        ({"batchItemFailures": "a"}, {"a", "b"}),
        ({"failures": []}, {"a", "b"}),
        ("done", {"a", "b"}),
    ],
)
def test_reports_are_read_as_aws_reads_them(response: object, failed: set[str]) -> None:
    """I6: a report that cannot be understood deletes nothing."""
    assert failed_messages(response, ["a", "b"]) == failed
