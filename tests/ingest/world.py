"""One deployment in moto for one test: buckets, queue, notification and secret, and ingest's real handler."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client
from mypy_boto3_secretsmanager import SecretsManagerClient
from mypy_boto3_sqs import SQSClient

from lambdas.ingest.adapters.clients import Clients
from lambdas.ingest.handler import make_handler
from lambdas.ingest.wiring import build_delivery
from local.aws import ACCOUNT, REGION, Aws
from nixcache.dsse import Envelope
from nixcache.narinfo import NarInfo
from nixcache.signing import SecretKey
from nixcache.statement import Statement
from nixcache.store_path import NIX_STORE, StorePath
from nixcache.verify import DEFAULT_MAX_EXPANSION
from protocol.delivery import FUNCTION_TIMEOUT_SECONDS
from protocol.keys import (
    NARINFO_SUFFIX,
    BuilderName,
    CacheNarInfoKey,
    NarFile,
    ProvenanceKey,
    ResultKey,
    StagingNarInfoKey,
    StagingNarKey,
)
from protocol.policy import SubmissionPolicy
from protocol.results import Result
from protocol.settings import DEFAULT_REFERENCE_POLICY, IngestSettings, ReferencePolicy, Upstream
from protocol.verdicts import Verdict
from tests.ingest.store_objects import StoreObject, sha256

ALICE, BOB, CAROL = BuilderName("alice"), BuilderName("bob"), BuilderName("carol")
KEY = SecretKey.generate("cache.test-1")
"""One for all tests: Ed25519 is deterministic, so the same object gets the same signature in any world."""

_SESSION = botocore.session.Session()  # it keeps the services' models: to load them takes longer than a test

Event = dict[str, Any]
Container = Callable[[Event], list[str]]
"""A running function: takes an event, returns the bodies of the messages that failed."""


def connect(aws: Aws) -> Clients:
    """Return clients that try once: a test counts requests, and a fault that is injected shall be seen."""
    once = Config(retries={"total_max_attempts": 1}, max_pool_connections=20, proxies={})
    arguments: dict[str, Any] = {
        "endpoint_url": aws.endpoint,
        "region_name": REGION,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "config": once,
    }
    s3_arguments = arguments | {"config": once.merge(Config(signature_version="s3v4"))}
    return Clients(
        s3=cast("S3Client", _SESSION.create_client("s3", **s3_arguments)),
        sqs=cast("SQSClient", _SESSION.create_client("sqs", **arguments)),
        secrets=cast("SecretsManagerClient", _SESSION.create_client("secretsmanager", **arguments)),
    )


@dataclass(frozen=True, slots=True)
class Context:
    """What the handler gets beside the event."""

    function_name: str = "ingest"
    memory_limit_in_mb: int = 2048
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:ingest"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    remaining_seconds: Callable[[], float] = lambda: FUNCTION_TIMEOUT_SECONDS

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that the invocation has left, as the test sets it."""
        return int(self.remaining_seconds() * 1000)


def sqs_event(*bodies: str) -> Event:
    """Return ``bodies`` in the shape in which Lambda gets them from SQS."""
    return {
        "Records": [
            {
                "messageId": str(position),
                "receiptHandle": "handle",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:ingest",
                "awsRegion": REGION,
            }
            for position, body in enumerate(bodies)
        ]
    }


class World:
    """A deployment, and the eyes of an administrator on it."""

    def __init__(
        self,
        aws: Aws,
        *,
        upstreams: tuple[Upstream, ...] = (),
        max_nar_size: int = 1024**3,
        max_expansion: int = DEFAULT_MAX_EXPANSION,
        references: ReferencePolicy = DEFAULT_REFERENCE_POLICY,
        policy: SubmissionPolicy | None = None,
    ) -> None:
        """``policy`` is by default the one without rules, for Alice and Bob."""
        self.aws = aws
        self.policy = policy or SubmissionPolicy.open_to((ALICE, BOB), max_nar_size)
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.admin = connect(aws)
        name = uuid.uuid4().hex[:12]
        queue_url = self.admin.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.settings = IngestSettings(
            staging_bucket=f"staging-{name}",
            cache_bucket=f"cache-{name}",
            ledger_bucket=f"ledger-{name}",
            queue_url=queue_url,
            signing_secret_id=f"key-{name}",
            policy_file="given directly",
            max_nar_size=max_nar_size,
            max_expansion=max_expansion,
            references=references,
            upstreams=upstreams,
        )
        s3 = self.admin.s3
        for bucket in (self.settings.staging_bucket, self.settings.cache_bucket, self.settings.ledger_bucket):
            s3.create_bucket(Bucket=bucket)
        for bucket in (self.settings.staging_bucket, self.settings.cache_bucket):
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_notification_configuration(
            Bucket=self.settings.staging_bucket,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
                        "Events": ["s3:ObjectCreated:*"],
                        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": NARINFO_SUFFIX}]}},
                    }
                ]
            },
        )
        self.admin.secrets.create_secret(Name=self.settings.signing_secret_id, SecretString=KEY.reveal())
        self.admin.sqs.purge_queue(QueueUrl=queue_url)  # of the notification's test event

    # The builder's side.

    def upload(self, key: object, data: bytes) -> str:
        """PUT an object into staging; return its version."""
        return self.admin.s3.put_object(Bucket=self.settings.staging_bucket, Key=str(key), Body=data)["VersionId"]

    def submit(self, thing: StoreObject, builder: BuilderName = ALICE, *, narinfo: bytes | None = None) -> str:
        """Upload a NAR and its narinfo (or other text in its place), in this order; return the narinfo's version."""
        self.upload(StagingNarKey(builder, NarFile.parse_url(thing.narinfo.url)), thing.file)
        return self.upload(StagingNarInfoKey(builder, thing.path.hash_part), narinfo or thing.narinfo.render())

    def event(self, path: StorePath, version_id: str, builder: BuilderName = ALICE) -> str:
        """Return the event of one version of a narinfo: S3's events have it, and moto's have not."""
        return s3_event(self.settings.staging_bucket, f"{builder}/{path.hash_part}.narinfo", version_id=version_id)

    def result(self, path: StorePath, builder: BuilderName = ALICE) -> Result:
        """Return what the builder reads in the ledger."""
        answer = self.admin.s3.get_object(
            Bucket=self.settings.ledger_bucket, Key=str(ResultKey(builder, path.hash_part))
        )
        return Result.from_json(answer["Body"].read())

    def verdict(self, path: StorePath, builder: BuilderName = ALICE) -> Verdict:
        """Return the verdict in the ledger."""
        return self.result(path, builder).verdict

    # AWS's side.

    def container(
        self,
        clients: Clients | None = None,
        settings: IngestSettings | None = None,
        context: Callable[[], Context] = Context,
    ) -> Container:
        """Start a fresh function, by default with the administrator's clients."""
        used = clients or self.admin
        handler = make_handler(lambda: build_delivery(settings or self.settings, self.policy, used, now=self.now))

        def invoke(event: Event) -> list[str]:
            response = handler(event, cast("Any", context()))
            failed = {item["itemIdentifier"] for item in response["batchItemFailures"]}
            return [record["body"] for record in event["Records"] if record["messageId"] in failed]

        return invoke

    def take_messages(self) -> list[str]:
        """Take all messages off the queue."""
        bodies = []
        while messages := self.admin.sqs.receive_message(
            QueueUrl=self.settings.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages"):
            for message in messages:
                bodies.append(message["Body"])
                self.admin.sqs.delete_message(QueueUrl=self.settings.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return bodies

    def run(self, container: Container | None = None) -> None:
        """Deliver messages one by one until the queue is empty; none may fail."""
        invoke = container or self.container()
        while bodies := self.take_messages():
            for body in bodies:
                assert invoke(sqs_event(body)) == []

    # What readers and administrators see.

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return all keys of a bucket."""
        page = self.admin.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for item in page.get("Contents", [])]

    def published(self, path: StorePath) -> NarInfo | None:
        """Return the narinfo that readers get."""
        try:
            answer = self.admin.s3.get_object(
                Bucket=self.settings.cache_bucket, Key=str(CacheNarInfoKey(path.hash_part))
            )
        except ClientError:
            return None
        return NarInfo.parse(answer["Body"].read(), NIX_STORE)

    def provenance(self, path: StorePath) -> Statement:
        """Return what is attested of a published path, after its signature was verified."""
        key = str(ProvenanceKey(path.hash_part))
        envelope = self.admin.s3.get_object(Bucket=self.settings.ledger_bucket, Key=key)["Body"].read()
        return Statement.from_envelope(Envelope.from_json(envelope), [KEY.public_key])

    def check_cache(self, signed_by: Sequence[SecretKey] = (KEY,)) -> None:
        """Assert I1, I2 and I4: each visible narinfo is signed, its NAR is there with its hash, its references are."""
        keys = self.keys(self.settings.cache_bucket)
        for key in keys:
            if not key.endswith(NARINFO_SUFFIX):
                continue
            data = self.admin.s3.get_object(Bucket=self.settings.cache_bucket, Key=key)["Body"].read()
            narinfo = NarInfo.parse(data, NIX_STORE)
            assert any(narinfo.is_signed_by(secret_key.public_key) for secret_key in signed_by)
            nar = self.admin.s3.get_object(Bucket=self.settings.cache_bucket, Key=narinfo.url)["Body"].read()
            assert sha256(nar) == narinfo.file_hash
            for reference in narinfo.references:
                assert str(CacheNarInfoKey(reference.hash_part)) in keys

    def state(self) -> dict[str, object]:
        """Return everything in cache and ledger, but for times and version ids, which differ from run to run."""
        state: dict[str, object] = {}
        for bucket, name in ((self.settings.cache_bucket, "cache"), (self.settings.ledger_bucket, "ledger")):
            for key in self.keys(bucket):
                data = self.admin.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                state[f"{name}/{key}"] = _timeless(json.loads(data)) if data and key.endswith(".json") else data
        return state


def _timeless(document: object) -> object:
    """Leave out times and version ids, and look into envelopes: their signatures are over times as well."""
    if isinstance(document, dict):
        if "payload" in document:
            return _timeless(json.loads(base64.b64decode(document["payload"])))
        return {key: _timeless(value) for key, value in document.items() if key not in {"at", "versionId"}}
    if isinstance(document, list):
        return [_timeless(item) for item in document]
    return document


def s3_event(bucket: str, key: str, *, version_id: str | None = None, name: str = "ObjectCreated:Put") -> str:
    """Return the body that S3 sends; ``key`` as it stands there, that is, URL-encoded."""
    about = {"key": key, "size": 1, "sequencer": "0"} | ({"versionId": version_id} if version_id else {})
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventName": name,
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": about},
    }
    return json.dumps({"Records": [record]})
