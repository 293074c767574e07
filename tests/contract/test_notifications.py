"""What S3 tells the queue of a narinfo that was uploaded."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote_plus

from lambdas.ingest.events import parse_message
from tests.contract.engines import Engine, EngineName, QueueName, take_all
from tests.contract.promises import Breach, Service, promise

DOCUMENTED = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"
KEY = f"alice/{'0' * 32}.narinfo"


class _Uploads:
    """A staging bucket that tells a queue."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.bucket = engine.create_bucket(versioned=True)
        self.queue: QueueName = engine.create_queue(visibility_seconds=300, max_receive_count=5)
        engine.notify(self.bucket, self.queue, suffix=".narinfo")

    def put(self, key: str = KEY) -> str:
        return self.engine.clients.s3.put_object(Bucket=self.bucket, Key=key, Body=b"x" * 7)["VersionId"]

    def messages(self) -> list[str]:
        """Return what has come, which may take a moment."""
        bodies = take_all(self.engine, self.queue)
        for _ in range(20):
            if bodies:
                break
            self.engine.wait(0.1)
            bodies = take_all(self.engine, self.queue)
        return bodies

    def records(self) -> list[dict[str, Any]]:
        return [record for body in self.messages() for record in json.loads(body)["Records"]]


@promise(Service.NOTIFICATIONS, relied_on="a submission that is uploaded is judged")
def test_an_upload_is_told(engine: Engine) -> None:
    """S3 sends one event for a PutObject: which bucket, which key, how large; and ingest can read it."""
    uploads = _Uploads(engine)
    uploads.put()
    (message,) = uploads.messages()
    (record,) = json.loads(message)["Records"]
    assert (record["eventSource"], record["eventName"]) == ("aws:s3", "ObjectCreated:Put")
    assert record["s3"]["bucket"]["name"] == uploads.bucket
    assert unquote_plus(record["s3"]["object"]["key"]) == KEY
    assert record["s3"]["object"]["size"] == 7
    assert len(parse_message(message, staging_bucket=uploads.bucket)) == 1


@promise(
    Service.NOTIFICATIONS,
    relied_on="judging the version that was uploaded; without it, the current one is judged",
    broken={EngineName.MOTO: Breach("leaves it out")},
    documented=DOCUMENTED,
)
def test_an_event_names_the_version(engine: Engine) -> None:
    """An event carries the version id that the upload was answered with."""
    uploads = _Uploads(engine)
    version_ids = [uploads.put() for _ in range(3)]
    told = []
    while records := uploads.records():
        told += [record["s3"]["object"]["versionId"] for record in records]
    assert sorted(told) == sorted(version_ids)


@promise(
    Service.NOTIFICATIONS,
    relied_on="nothing: ingest orders versions by their listing",
    broken={EngineName.MOTO: Breach("leaves sequencers out")},
    documented=DOCUMENTED,
)
def test_events_of_a_key_can_be_ordered(engine: Engine) -> None:
    """Events of one key carry sequencers: hexadecimal numbers that rise."""
    uploads = _Uploads(engine)
    order = {uploads.put(): number for number in range(3)}
    told = []
    while records := uploads.records():
        told += [
            (order[record["s3"]["object"]["versionId"]], record["s3"]["object"]["sequencer"]) for record in records
        ]
    sequencers = [int(sequencer, 16) for _, sequencer in sorted(told)]
    assert sequencers == sorted(set(sequencers))
    assert len(sequencers) == 3


@promise(Service.NOTIFICATIONS, relied_on="keys with any letter: encoded, they are read as one and the same")
def test_the_key_in_an_event_is_encoded_like_a_form(engine: Engine) -> None:
    """The key in an event is encoded like a form: a space is a plus sign, what is not plain ASCII is %xx."""
    uploads = _Uploads(engine)
    key = "alice/a b+c%2F=é.narinfo"
    uploads.put(key)
    (record,) = uploads.records()
    encoded = record["s3"]["object"]["key"]
    assert encoded.isascii()
    assert " " not in encoded
    assert unquote_plus(encoded) == key


@promise(Service.NOTIFICATIONS, relied_on="NARs and logs start no function")
def test_other_suffixes_are_not_told(engine: Engine) -> None:
    """S3 sends no event for a key that does not end with the suffix."""
    uploads = _Uploads(engine)
    uploads.put("alice/nar/x.nar")
    uploads.put("alice/x.narinfo.bak")
    uploads.put()
    (record,) = uploads.records()
    assert unquote_plus(record["s3"]["object"]["key"]) == KEY
