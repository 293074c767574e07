"""The S3s (and SQSs) that are asked: the simulator, and others that had no part in it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol, cast

import botocore.session
from botocore.config import Config

from lambdas.ingest.adapters.clients import Clients
from local.aws import ACCOUNT, REGION, UNCHECKED, Aws
from tests.simulator.aws import SimulatedAws
from tests.simulator.bucket import Bucket
from tests.simulator.sqs import Queue

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType

_SESSION: Final = botocore.session.Session()  # it keeps the services' models, which take long to load


class EngineName(StrEnum):
    """Who can be asked."""

    MEMORY = "memory"
    MOTO = "moto"
    SEAWEEDFS = "seaweedfs"
    MINISTACK = "ministack"


@dataclass(frozen=True, slots=True)
class QueueName:
    """A queue, by all the names that one needs for it."""

    url: str
    arn: str


class Engine(Protocol):
    """An AWS to ask. A bucket, queue or secret is made for one test, and never removed."""

    clients: Clients

    def create_bucket(self, *, versioned: bool) -> str:
        """Return the name of a new bucket."""

    def create_queue(self, *, visibility_seconds: int, max_receive_count: int) -> QueueName:
        """Return a new queue, with a queue for its dead letters."""

    def dead_letters(self, queue: QueueName) -> list[str]:
        """Return the bodies of a queue's dead letters."""

    def notify(self, bucket: str, queue: QueueName, *, suffix: str) -> None:
        """Have S3 tell ``queue`` of what is created in ``bucket``; its test event has been taken off."""

    def put_secret(self, name: str, text: str) -> None:
        """Create a secret, or give it a new version."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""


class Memory:
    """The simulator."""

    def __init__(self) -> None:
        self._aws = SimulatedAws()
        self._buckets: dict[str, Bucket] = {}
        self._queues: dict[QueueName, Queue] = {}
        self.clients = self._aws.connect()

    def create_bucket(self, *, versioned: bool) -> str:
        name = _new_name()
        self._buckets[name] = self._aws.create_bucket(name, versioned=versioned)
        return name

    def create_queue(self, *, visibility_seconds: int, max_receive_count: int) -> QueueName:
        queue = self._aws.create_queue(
            _new_name(), visibility_seconds=visibility_seconds, max_receive_count=max_receive_count
        )
        name = QueueName(queue.url, queue.arn)
        self._queues[name] = queue
        return name

    def dead_letters(self, queue: QueueName) -> list[str]:
        return [message.body for message in self._queues[queue].dead_letters]

    def notify(self, bucket: str, queue: QueueName, *, suffix: str) -> None:
        self._aws.notify(self._buckets[bucket], self._queues[queue], suffix=suffix)

    def put_secret(self, name: str, text: str) -> None:
        self._aws.put_secret(name, text)

    def wait(self, seconds: float) -> None:
        self._aws.clock.advance(seconds)


class Remote:
    """A server that speaks AWS's protocols."""

    def __init__(self, aws: Aws) -> None:
        # One attempt: botocore's second would hide what the first had done.
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=32, proxies={}, read_timeout=30)
        s3, sqs, secrets = (
            _SESSION.create_client(
                service,
                endpoint_url=aws.endpoint,
                region_name=REGION,
                aws_access_key_id=UNCHECKED.access_key_id,
                aws_secret_access_key=UNCHECKED.secret_access_key,
                config=config,
            )
            for service in ("s3", "sqs", "secretsmanager")
        )
        self.clients = Clients(cast("S3Client", s3), cast("SQSClient", sqs), cast("SecretsManagerClient", secrets))
        self._dead_letters: dict[QueueName, QueueName] = {}

    def create_bucket(self, *, versioned: bool) -> str:
        name = _new_name()
        self.clients.s3.create_bucket(Bucket=name)
        if versioned:
            self.clients.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def create_queue(self, *, visibility_seconds: int, max_receive_count: int) -> QueueName:
        dead_letters = self._queue({})
        redrive = {"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": str(max_receive_count)}
        queue = self._queue({"VisibilityTimeout": str(visibility_seconds), "RedrivePolicy": json.dumps(redrive)})
        self._dead_letters[queue] = dead_letters
        return queue

    def dead_letters(self, queue: QueueName) -> list[str]:
        return take_all(self, self._dead_letters[queue])

    def notify(self, bucket: str, queue: QueueName, *, suffix: str) -> None:
        self.clients.s3.put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "QueueArn": queue.arn,
                        "Events": ["s3:ObjectCreated:*"],
                        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": suffix}]}},
                    }
                ]
            },
        )
        take_all(self, queue)

    def put_secret(self, name: str, text: str) -> None:
        try:
            self.clients.secrets.create_secret(Name=name, SecretString=text)
        except self.clients.secrets.exceptions.ResourceExistsException:
            self.clients.secrets.put_secret_value(SecretId=name, SecretString=text)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def _queue(self, attributes: Mapping[QueueAttributeNameType, str]) -> QueueName:
        name = _new_name()
        url = self.clients.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return QueueName(url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")


def take_all(engine: Engine, queue: QueueName) -> list[str]:
    """Receive and delete everything that is visible in a queue; return the bodies."""
    sqs = engine.clients.sqs
    bodies = []
    while messages := sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get(
        "Messages"
    ):
        for message in messages:
            bodies.append(message["Body"])
            sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


def _new_name() -> str:
    return f"contract-{uuid.uuid4().hex[:12]}"
