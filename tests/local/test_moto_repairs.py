"""I3 and I6, of the local service: moto itself loses no message and lets one writer win, or the blame would be ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.s3.models import FakeKey, S3Backend
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, sqs_backends

from lambdas.ingest.adapters.aws_call import error_code
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


def test_of_those_who_create_at_once_one_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have looked before either writes, unless looking and writing are one step."""
    repair()
    both_have_looked = threading.Barrier(2)
    look = S3Backend.get_object

    def wait_for_the_other(backend: S3Backend, bucket: str, key: str) -> FakeKey | None:
        found = look(backend, bucket, key)
        with suppress(threading.BrokenBarrierError):
            both_have_looked.wait(timeout=0.5)
        return found

    with mock_aws():
        s3 = boto3.client("s3", region_name=REGION, aws_access_key_id="any", aws_secret_access_key="any")
        s3.create_bucket(Bucket="bucket")

        def create(body: bytes) -> str:
            try:
                s3.put_object(Bucket="bucket", Key="key", Body=body, IfNoneMatch="*")
            except ClientError as error:
                return error_code(error)
            return "first"

        with monkeypatch.context() as patched, ThreadPoolExecutor() as pool:
            patched.setattr(S3Backend, "get_object", wait_for_the_other)
            assert sorted(pool.map(create, (b"a", b"b"))) == ["PreconditionFailed", "first"]
