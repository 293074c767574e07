"""What hooks can do to a request, and what the simulator refuses to make up."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.simulator.aws import SimulatedAws
from tests.simulator.bucket import Bucket
from tests.simulator.errors import STATUS, Killed, RefusedError, Unsimulated, time_out
from tests.simulator.requests import Answer, Request


@pytest.fixture
def aws() -> SimulatedAws:
    return SimulatedAws()


@pytest.fixture
def bucket(aws: SimulatedAws) -> Bucket:
    return aws.create_bucket("b", versioned=True)


def test_hooks_see_every_request_around_its_effect(aws: SimulatedAws, bucket: Bucket) -> None:
    seen: list[tuple[str, int, str, bytes | None]] = []

    def before(request: Request) -> None:
        seen.append(("before", request.number, str(request), bucket.read("k")))

    def after(request: Request, answer: Answer | None) -> None:
        seen.append(("after" if answer else "refused", request.number, str(request), bucket.read("k")))

    s3 = aws.connect(before=before, after=after).s3
    s3.put_object(Bucket="b", Key="k", Body=b"x")
    with pytest.raises(ClientError):
        s3.put_object(Bucket="b", Key="k", Body=b"y", IfNoneMatch="*")
    assert seen == [
        ("before", 0, "PutObject b/k", None),
        ("after", 0, "PutObject b/k", b"x"),
        ("before", 1, "PutObject b/k", b"x"),
        ("refused", 1, "PutObject b/k", b"x"),
    ]


@pytest.mark.parametrize("code", STATUS)
def test_a_refusal_is_what_botocore_makes_of_it(aws: SimulatedAws, bucket: Bucket, code: str) -> None:
    def refuse(_: Request) -> None:
        raise RefusedError(code)

    s3 = aws.connect(before=refuse).s3
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="b", Key="k")
    assert caught.value.operation_name == "PutObject"
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == STATUS[code]
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket="b", Key="k")
    assert caught.value.response["Error"]["Code"] == str(STATUS[code])  # there is no body to hold another
    assert bucket.keys() == []


def test_a_time_out_after_the_effect_leaves_it(aws: SimulatedAws, bucket: Bucket) -> None:
    def never_answer(_: Request, __: Answer | None) -> None:
        raise time_out()

    with pytest.raises(ReadTimeoutError):
        aws.connect(after=never_answer).s3.put_object(Bucket="b", Key="k", Body=b"x")
    assert bucket.read("k") == b"x"


def test_a_dead_container_sends_nothing_more(aws: SimulatedAws, bucket: Bucket) -> None:
    """What it would do in a ``finally``, or in threads of its own, a process that is gone does not do either."""

    def kill(request: Request) -> None:
        if request.number == 1:
            raise Killed

    clients = aws.connect(before=kill)
    clients.s3.put_object(Bucket="b", Key="0")
    for key in ("1", "2"):
        with pytest.raises(Killed):
            clients.s3.put_object(Bucket="b", Key=key)
    with pytest.raises(Killed):
        clients.sqs.send_message(QueueUrl="any", MessageBody="x")
    aws.connect().s3.put_object(Bucket="b", Key="3")
    assert bucket.keys() == ["0", "3"]


def test_each_request_is_atomic(aws: SimulatedAws, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever shares the state: between a condition and the write that hangs on it, nobody else gets in."""
    new_id = aws._store.new_id

    def slowly() -> str:
        time.sleep(0.005)  # the others run
        return new_id()

    monkeypatch.setattr(aws._store, "new_id", slowly)

    def create(_: int) -> bool:
        try:
            aws.connect().s3.put_object(Bucket=bucket.name, Key="k", IfNoneMatch="*")
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(create, range(4))) == 1


def test_an_answer_can_be_changed(aws: SimulatedAws, bucket: Bucket) -> None:
    def without_version(_: Request, answer: Answer | None) -> None:
        if answer:
            answer.pop("VersionId", None)

    aws.connect().s3.put_object(Bucket=bucket.name, Key="k", Body=b"x")
    assert "VersionId" not in aws.connect(after=without_version).s3.get_object(Bucket="b", Key="k")


def test_what_is_not_simulated_says_so(aws: SimulatedAws, bucket: Bucket) -> None:
    """As a BaseException: ingest, which takes any exception for a fault to be tried again, shall not swallow it."""
    with pytest.raises(Unsimulated, match="Range"):
        aws.connect().s3.get_object(Bucket="b", Key="k", Range="bytes=0-1")
    with pytest.raises(Unsimulated, match="string"):
        aws.connect().s3.copy_object(Bucket="b", Key="k", CopySource="b/other")
    with pytest.raises(Unsimulated, match="ASCII"):
        aws.connect().s3.put_object(Bucket="b", Key="k", Metadata={"name": "é"})
    assert bucket.keys() == []


def test_a_request_says_what_it_is_about(aws: SimulatedAws, bucket: Bucket) -> None:
    seen: list[str] = []
    clients = aws.connect(before=lambda request: seen.append(str(request)))
    queue = aws.create_queue("q")
    aws.put_secret("s", "x")
    clients.s3.list_objects_v2(Bucket=bucket.name, Prefix="waiting/")
    clients.s3.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "1"}, {"Key": "2"}, {"Key": "3"}]})
    clients.sqs.send_message(QueueUrl=queue.url, MessageBody="x")
    clients.secrets.get_secret_value(SecretId="s")
    assert seen == ["ListObjectsV2 b/waiting/*", "DeleteObjects b/1 and 2 more", "SendMessage q", "GetSecretValue s"]
