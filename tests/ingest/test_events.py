"""What the queue brings, and what becomes of each message."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lambdas.ingest.events import MessageError, Misnamed, Stray, parse_message
from lambdas.ingest.submission import Submission
from nixcache.store_path import parse_hash_part
from protocol.keys import StagingNarInfoKey
from protocol.verdicts import Published, Rejected
from protocol.wake import render
from tests.ingest.requests_log import RequestsLog, answer
from tests.ingest.store_objects import Builder
from tests.ingest.world import ALICE, KEY, World, connect, s3_event, sqs_event

HASH_PART = parse_hash_part("0123456789abcdfghijklmnpqrsvwxyz")
SUBMISSION = StagingNarInfoKey(ALICE, HASH_PART)


@pytest.mark.parametrize("key", [f"alice/{HASH_PART}.narinfo", f"alice%2F{HASH_PART}.narinfo"])
@pytest.mark.parametrize("version_id", ["v1", None])
def test_a_submission(key: str, version_id: str | None) -> None:
    body = s3_event("staging", key, version_id=version_id)
    assert parse_message(body, staging_bucket="staging") == (Submission(SUBMISSION, version_id),)


def test_several_records_in_one_message() -> None:
    one = json.loads(s3_event("staging", f"alice/{HASH_PART}.narinfo"))["Records"]
    other = json.loads(s3_event("staging", "alice/x.narinfo", version_id="2"))["Records"]
    notices = parse_message(json.dumps({"Records": one + other}), staging_bucket="staging")
    assert notices == (Submission(SUBMISSION), Misnamed(ALICE, "alice/x.narinfo", "2"))


def test_keys_are_decoded_once_and_only_once() -> None:
    """A plus is a space and %2B a plus; what was encoded twice stays encoded, and fits no grammar."""
    (notice,) = parse_message(s3_event("staging", "alice/a+b%2Bc%252e.narinfo"), staging_bucket="staging")
    assert notice == Misnamed(ALICE, "alice/a b+c%2e.narinfo", None)


@pytest.mark.parametrize(
    "key",
    [
        f"Alice/{HASH_PART}.narinfo",
        f"/{HASH_PART}.narinfo",
        f"{HASH_PART}.narinfo",
        "../x.narinfo",
        "%ff%fe/x.narinfo",
        f"alice/nar/{HASH_PART}.nar",
    ],
)
def test_an_object_that_is_no_builders_submission_is_a_stray(key: str) -> None:
    (notice,) = parse_message(s3_event("staging", key), staging_bucket="staging")
    assert isinstance(notice, Stray)


def test_another_bucket_is_a_stray() -> None:
    (notice,) = parse_message(s3_event("other", f"alice/{HASH_PART}.narinfo"), staging_bucket="staging")
    assert isinstance(notice, Stray)


def test_a_removal_is_a_stray() -> None:
    body = s3_event("staging", f"alice/{HASH_PART}.narinfo", name="ObjectRemoved:Delete")
    (notice,) = parse_message(body, staging_bucket="staging")
    assert isinstance(notice, Stray)


def test_a_wake_message() -> None:
    expected = (Submission(SUBMISSION, is_woken=True),)
    assert parse_message(render(SUBMISSION), staging_bucket="staging") == expected


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        '{"Records": 1}',
        '{"Records": [1]}',
        '{"Records": [{"eventSource": "aws:sns"}]}',
        '{"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {}}]}',
        '{"assayWake": 2, "submission": "alice/x.narinfo"}',
        '{"assayWake": 1, "submission": "alice/x.narinfo"}',
        '{"assayWake": 1}',
    ],
)
def test_what_nobody_sends_is_an_error_and_stays_in_the_queue(body: str) -> None:
    with pytest.raises(MessageError):
        parse_message(body, staging_bucket="staging")


def test_s3s_test_event_is_done_with(world: World) -> None:
    s3, bucket = world.admin.s3, world.settings.staging_bucket
    configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": configuration["QueueConfigurations"]}
    )
    (body,) = world.take_messages()
    assert json.loads(body)["Event"] == "s3:TestEvent"
    assert world.container()(sqs_event(body)) == []


def test_one_bad_message_fails_alone(
    world: World, builder: Builder, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    first, second = builder.build("first"), builder.build("second")
    world.submit(first)
    world.submit(second)
    good = world.take_messages()
    assert world.container()(sqs_event(good[0], "garbage", good[1])) == ["garbage"]
    assert world.verdict(first.path) == world.verdict(second.path) == Published((KEY.name,))
    assert [line["message"] for line in log_lines()].count("back to the queue") == 1


def test_a_batch_that_fails_as_a_whole_is_reported_not_raised(world: World) -> None:
    assert world.container()(sqs_event("garbage", "rubbish")) == ["garbage", "rubbish"]


def test_a_record_that_fails_does_not_hold_up_its_neighbours(world: World, builder: Builder) -> None:
    """Several events in one message: the message comes again, but what could be done is done."""
    first, second = builder.build("first"), builder.build("second")
    world.submit(first)
    world.submit(second)
    records = [record for body in world.take_messages() for record in json.loads(body)["Records"]]
    both = json.dumps({"Records": records})
    clients = connect(world.aws)
    RequestsLog(clients, before=lambda number, _: answer(503, "SlowDown") if number == 0 else None)
    assert world.container(clients)(sqs_event(both)) == [both]
    assert world.published(first.path) is None
    assert world.verdict(second.path) == Published((KEY.name,))


def test_a_stray_is_consumed_and_counted(world: World, log_lines: Callable[[], list[dict[str, Any]]]) -> None:
    world.upload("NOBODY/x.narinfo", b"")
    world.run()
    assert world.keys(world.settings.ledger_bucket) == []
    assert [line["key"] for line in log_lines() if "Stray" in line] == ["NOBODY/x.narinfo"]


def test_an_old_version_is_judged_for_what_it_is(world: World, builder: Builder) -> None:
    """I2: an event names a version, and that version is what is judged, whatever lies over it by now."""
    thing = builder.build("leaf")
    key = str(StagingNarInfoKey(ALICE, thing.path.hash_part))
    old = world.submit(thing, narinfo=b"nonsense")
    new = world.submit(thing)
    world.take_messages()
    container = world.container()
    assert container(sqs_event(s3_event(world.settings.staging_bucket, key, version_id=old))) == []
    assert world.result(thing.path).version_id == old
    assert isinstance(world.verdict(thing.path), Rejected)
    assert container(sqs_event(s3_event(world.settings.staging_bucket, key, version_id=new))) == []
    assert world.verdict(thing.path) == Published((KEY.name,))


def test_a_store_path_is_metadata_of_a_metric_and_no_dimension(
    world: World, builder: Builder, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    thing = builder.build("leaf")
    world.submit(thing)
    world.run()
    lines = log_lines()
    assert [line["message"] for line in lines] == ["verified", "verdict"]
    assert {line["store_path"] for line in lines} == {thing.path.base_name}
    directives = [directive for line in lines for directive in line["_aws"]["CloudWatchMetrics"]]
    used = {tuple(dimensions) for directive in directives for dimensions in directive["Dimensions"]}
    assert used == {("stage", "service"), ("stage", "service", "verdict")}
