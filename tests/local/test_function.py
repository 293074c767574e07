"""The execution environment, with the real handler in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from local.aws import UNCHECKED, Aws
from local.function import RUNTIME, ExecutionEnvironment, FunctionError
from protocol.keys import BuilderName
from protocol.policy import SubmissionPolicy
from protocol.settings import IngestSettings

SETTINGS = IngestSettings(
    staging_bucket="staging",
    cache_bucket="cache",
    ledger_bucket="ledger",
    queue_url="https://queue.invalid",
    signing_secret_id="key",
    policy_file="policy.json",
)

Start = Callable[..., ExecutionEnvironment]


def event(body: object) -> dict[str, Any]:
    record = {
        "messageId": "m",
        "receiptHandle": "handle",
        "body": json.dumps(body),
        "eventSource": "aws:sqs",
        "attributes": {"ApproximateReceiveCount": "1"},
    }
    return {"Records": [record]}


NEVER_ANSWERS = ("timeit", "-n1", "-r1", "import threading; threading.Event().wait()")

TEST_EVENT = event({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "staging"})


@pytest.fixture
def start(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start execution environments that end with the test; their logs go to a file."""
    started: list[ExecutionEnvironment] = []
    directory = tmp_path_factory.mktemp("function")
    policy = directory / "policy.json"
    policy.write_bytes(SubmissionPolicy.open_to([BuilderName("alice")], SETTINGS.max_nar_size).to_json())

    def start(
        *, timeout: float = 60, settings: dict[str, str] | None = None, runtime: Sequence[str] = RUNTIME
    ) -> ExecutionEnvironment:
        settings = replace(SETTINGS, policy_file=str(policy)).to_environment() if settings is None else settings
        environment = ExecutionEnvironment(
            {**aws.environment(UNCHECKED), **settings}, timeout=timeout, runtime=runtime, log=log
        )
        started.append(environment)
        return environment

    with (directory / "log").open("w") as log:
        yield start
        for environment in started:
            environment.close()


def test_the_handler_takes_the_test_event_that_every_deployment_sends(start: Start) -> None:
    report = start().invoke(TEST_EVENT)
    assert report.response == {"batchItemFailures": []}
    assert report.aws_requests == 0
    assert report.peak_memory > 10_000_000


def test_it_is_started_once_and_keeps_what_it_holds(start: Start) -> None:
    """A warm start is what makes a cached key and cached clients worth having."""
    environment = start()
    environment.invoke(TEST_EVENT)
    first = environment._process
    environment.invoke(TEST_EVENT)
    assert first is not None
    assert environment._process is first


def test_aws_requests_are_counted(start: Start) -> None:
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "staging"}, "object": {"key": f"alice/{'0' * 32}.narinfo", "versionId": "1"}},
    }
    report = start().invoke(event({"Records": [record]}))
    assert report.response == {"batchItemFailures": [{"itemIdentifier": "m"}]}, "there is no such bucket"
    assert report.aws_requests >= 1


def test_a_handler_that_raises_is_an_error_and_the_next_event_is_taken(start: Start) -> None:
    environment = start(settings={})
    for _ in range(2):
        with pytest.raises(FunctionError, match="ASSAY_STAGING_BUCKET"):
            environment.invoke(TEST_EVENT)


def test_a_handler_that_takes_too_long_is_ended_and_started_anew(start: Start) -> None:
    environment = start(timeout=0.01, runtime=NEVER_ANSWERS)
    for _ in range(2):
        with pytest.raises(FunctionError, match="without an answer"):
            environment.invoke(TEST_EVENT)


def test_the_developers_own_aws_configuration_is_invisible_to_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that does not exist makes boto3 fail at once: one that reached the handler would show."""
    monkeypatch.setenv("AWS_PROFILE", "production")
    assert start().invoke(TEST_EVENT).response == {"batchItemFailures": []}
