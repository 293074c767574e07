"""Messages that S3 never wrote: whoever could send one would still decide about nothing (I6, I8)."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from protocol import wake
from protocol.delivery import MAX_RECEIVE_COUNT
from protocol.keys import StagingNarInfoKey
from protocol.verdicts import Kind
from tests.adversary.target import MALLORY, Target
from tests.concurrency.deployment import ALICE
from tests.concurrency.objects import Objects
from tests.ingest.world import s3_event

Record = dict[str, Any]


def _record(key: str, version_id: str) -> Record:
    (record,) = json.loads(s3_event("staging", key, version_id=version_id))["Records"]
    assert isinstance(record, dict)
    return record


def _without(*path: str) -> Callable[[Record], object]:
    def forge(record: Record) -> object:
        *parents, last = path
        for name in parents:
            record = record[name]
        return record.pop(last)

    return forge


def _with(value: object, *path: str) -> Callable[[Record], object]:
    def forge(record: Record) -> object:
        *parents, last = path
        for name in parents:
            record = record[name]
        record[last] = value
        return record

    return forge


UNINTELLIGIBLE: dict[str, Callable[[Record], object]] = {
    "another source": _with("aws:sqs", "eventSource"),
    "a source in other letters": _with("AWS:S3", "eventSource"),
    "no source": _without("eventSource"),
    "no name": _without("eventName"),
    "no S3": _without("s3"),
    "no bucket": _without("s3", "bucket"),
    "no bucket's name": _without("s3", "bucket", "name"),
    "no object": _without("s3", "object"),
    "no key": _without("s3", "object", "key"),
    "a key that is a number": _with(5, "s3", "object", "key"),
    "a key that is a list": _with(["alice/x"], "s3", "object", "key"),
    "a bucket that is a list": _with(["staging"], "s3", "bucket", "name"),
    "an object that is text": _with("alice/x", "s3", "object"),
}


@pytest.mark.parametrize("forgery", UNINTELLIGIBLE)
def test_a_record_of_no_known_shape_ends_as_a_dead_letter(target: Target, objects: Objects, forgery: str) -> None:
    """I6: nothing is guessed from half an event, however true its other half; an operator gets to see it."""
    leaf = objects.build("leaf")
    version_id = target.submit(leaf, ALICE)
    target.queue.delete(target.queue.receive()[0].receipt_handle)
    record = _record(str(StagingNarInfoKey(ALICE, leaf.path.hash_part)), version_id)
    UNINTELLIGIBLE[forgery](record)
    message = target.queue.send(json.dumps({"Records": [record]}))
    container = target.container()
    for _ in range(MAX_RECEIVE_COUNT):
        assert target.queue.take(message)
        assert not container(message)
    assert not target.queue.take(message)
    assert target.queue.dead_letters == [message]
    assert target.cache.keys() == target.ledger.keys() == []


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(_with("cache", "s3", "bucket", "name"), id="the cache bucket"),
        pytest.param(_with("ledger", "s3", "bucket", "name"), id="the ledger bucket"),
        pytest.param(_with("Staging", "s3", "bucket", "name"), id="a bucket in other letters"),
        pytest.param(_with("staging/../cache", "s3", "bucket", "name"), id="a bucket by its parent"),
        pytest.param(_with("ObjectRemoved:Delete", "eventName"), id="a deletion"),
        pytest.param(_with("ObjectRemoved:DeleteMarkerCreated", "eventName"), id="a delete marker"),
        pytest.param(_with("LifecycleExpiration:Delete", "eventName"), id="an expiry"),
        pytest.param(_with("ObjectTagging:Put", "eventName"), id="a tag"),
        pytest.param(_with("", "eventName"), id="an event without a name"),
    ],
)
def test_an_event_that_is_not_ours_is_passed_over(
    target: Target, objects: Objects, forge: Callable[[Record], object]
) -> None:
    leaf = objects.build("leaf")
    version_id = target.submit(leaf, ALICE)
    target.queue.delete(target.queue.receive()[0].receipt_handle)
    record = _record(str(StagingNarInfoKey(ALICE, leaf.path.hash_part)), version_id)
    forge(record)
    assert target.deliver(json.dumps({"Records": [record]}))
    assert target.requests == []


def test_what_an_event_says_of_an_object_is_not_believed(target: Target, objects: Objects) -> None:
    """I2: size, ETag, sequencer, time and sender are the event's word; what is judged is read from S3."""
    leaf = objects.build("leaf")
    version_id = target.submit(leaf, ALICE)
    target.queue.delete(target.queue.receive()[0].receipt_handle)
    record = _record(str(StagingNarInfoKey(ALICE, leaf.path.hash_part)), version_id)
    record["s3"]["object"] |= {"size": -1, "eTag": "0" * 32, "sequencer": "F" * 100, "verdict": "published"}
    record |= {"userIdentity": {"principalId": "AWS:bob"}, "eventTime": "9999-12-31T23:59:59Z", "builder": "bob"}
    record["s3"]["bucket"]["arn"] = "arn:aws:s3:::cache"
    assert target.deliver(json.dumps({"Records": [record], "assayWake": 1, "submission": "bob/x.narinfo"}))
    result = target.result(leaf.path, ALICE)
    assert (result.verdict.kind, result.version_id) == (Kind.PUBLISHED, version_id)
    assert [key for key in target.ledger.keys("results/") if not key.startswith("results/alice/")] == []


def test_many_records_of_one_submission_are_one_publication(target: Target, objects: Objects) -> None:
    """I6: an event that brings a hundred more of its kind does the same again, which changes nothing."""
    leaf = objects.build("leaf")
    version_id = target.submit(leaf, ALICE)
    target.run()
    before = target.state()
    record = _record(str(StagingNarInfoKey(ALICE, leaf.path.hash_part)), version_id)
    assert target.deliver(json.dumps({"Records": [deepcopy(record) for _ in range(100)]}))
    assert target.state() == before
    assert target.queue.messages == []


@pytest.mark.parametrize(
    ("version_id", "done"),
    [("0" * 32, True), ("..", False), ("x" * 5000, False), ("\n", False), ("null?versionId=1", False)],
)
def test_a_version_that_there_is_not_publishes_nothing(
    target: Target, objects: Objects, version_id: str, *, done: bool
) -> None:
    """I2: no other version is taken in its place. What S3 calls no version id at all becomes a dead letter."""
    leaf = objects.build("leaf")
    target.submit(leaf, ALICE)
    record = _record(str(StagingNarInfoKey(ALICE, leaf.path.hash_part)), version_id)
    assert target.deliver(json.dumps({"Records": [record]})) is done
    assert target.cache.keys() == []
    assert not done or target.rejection(leaf.path, ALICE).code == "narinfo-missing"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"versionId": "x", "bucket": "cache", "verdict": "published", "builder": "mallory"},
        {"padding": "x" * 1024**2},
        {"nested": [[[[[]]]]] * 1000},
        {"submission ": "mallory/x", "Submission": "mallory/x"},
    ],
    ids=["as it is", "with extra fields", "a mebibyte", "nested", "with fields that look alike"],
)
def test_a_forged_wake_message_has_a_submission_judged_that_is_there_anyway(
    target: Target, objects: Objects, more: dict[str, object]
) -> None:
    """I6 and I8: it names another builder's submission and nothing else of it counts: all stays as it is."""
    leaf, top = objects.build("leaf"), objects.build("top", [objects.build("never")])
    target.attack(leaf, ALICE)
    target.attack(top, ALICE)
    before, results = target.state(), list(target.results())
    for thing in (leaf, top):
        body = json.loads(wake.render(StagingNarInfoKey(ALICE, thing.path.hash_part)))
        assert target.deliver(json.dumps(body | more))
    assert target.state() == before
    assert list(target.results()) == results


@pytest.mark.parametrize(
    "submission",
    [
        "alice/../mallory/{part}.narinfo",
        "Alice/{part}.narinfo",
        "{part}.narinfo",
        "nix-cache-info",
        "alice/{part}.narinfo\n",
        "alice%2f{part}.narinfo",
        "results/alice/{part}.json",
        ["alice/{part}.narinfo"],
        {"alice/{part}.narinfo": 1},
        5,
        None,
        True,
    ],
)
def test_a_wake_message_that_names_no_submission_is_a_dead_letter(
    target: Target, objects: Objects, submission: object
) -> None:
    """Ingest writes all wake messages itself: this one is somebody else's, and is kept for the operator."""
    leaf = objects.build("leaf")
    body = json.dumps({"assayWake": 1, "submission": submission}).replace("{part}", leaf.path.hash_part)
    assert not target.deliver(body)
    assert {request.operation for request in target.requests} == {"ChangeMessageVisibility"}
    assert target.ledger.keys() == []


def test_waking_somebody_who_never_submitted_says_so_and_no_more(target: Target, objects: Objects) -> None:
    leaf = objects.build("leaf")
    assert target.deliver(wake.render(StagingNarInfoKey(MALLORY, leaf.path.hash_part)))
    assert target.rejection(leaf.path).code == "narinfo-missing"
    assert target.cache.keys() == []
