"""An AWS in memory, for ingest's real adapters, use case and handler to run over.

It is fast and nothing in it is left to chance, so thousands of crashes and schedules can be tried in a minute. What it
promises, tests/contract asks of other S3s as well.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from lambdas.ingest.adapters.clients import Clients
from local.aws import ACCOUNT, REGION
from protocol.delivery import MAX_RECEIVE_COUNT, VISIBILITY_TIMEOUT_SECONDS
from tests.simulator.bucket import Bucket
from tests.simulator.clients import S3, SecretsManager, Sqs
from tests.simulator.clock import Clock
from tests.simulator.multipart import MultipartUploads
from tests.simulator.notifications import notifier
from tests.simulator.requests import After, Before, Line
from tests.simulator.s3 import ObjectStore
from tests.simulator.secret_store import Secrets
from tests.simulator.sqs import Message, Queue, Queues, system_attributes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient


class SimulatedAws:
    """One account in one region. Any number of client sets, and of threads, may share it: each request is atomic."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Start empty; time is ``clock``'s."""
        self.clock = clock or Clock()
        self._state = threading.RLock()
        self._store = ObjectStore(self.clock, self._state)
        self._uploads = MultipartUploads(self._store)
        self._queues = Queues()
        self._secrets = Secrets()

    def connect(self, *, before: Before | None = None, after: After | None = None) -> Clients:
        """Return a client set for one container, with hooks around each of its requests."""
        line = Line(self._state, before, after)
        return Clients(
            s3=cast("S3Client", S3(line, self._store, self._uploads)),
            sqs=cast("SQSClient", Sqs(line, self._queues)),
            secrets=cast("SecretsManagerClient", SecretsManager(line, self._secrets)),
        )

    def create_bucket(self, name: str, *, versioned: bool) -> Bucket:
        """Add a bucket; what it returns can be looked into without a request."""
        return self._store.create_bucket(name, versioned=versioned)

    def create_queue(
        self,
        name: str,
        *,
        visibility_seconds: int = VISIBILITY_TIMEOUT_SECONDS,
        max_receive_count: int = MAX_RECEIVE_COUNT,
    ) -> Queue:
        """Add a queue."""
        queue = Queue(
            name,
            self.clock,
            self._state,
            account=ACCOUNT,
            region=REGION,
            visibility_seconds=visibility_seconds,
            max_receive_count=max_receive_count,
        )
        self._queues.add(queue)
        return queue

    def notify(self, bucket: Bucket, queue: Queue, *, suffix: str) -> None:
        """Have an event sent to ``queue`` for each object created in ``bucket`` whose key ends with ``suffix``."""
        self._store.listen(bucket.name, notifier(bucket.name, queue, self.clock, suffix=suffix, region=REGION))

    def put_secret(self, name: str, text: str) -> None:
        """Create a secret, or rotate it."""
        self._secrets.put(name, text)


def lambda_event(queue: Queue, messages: Sequence[Message]) -> dict[str, object]:
    """Return messages that were received in the shape in which Lambda gets them."""
    return {
        "Records": [
            {
                "messageId": message.message_id,
                "receiptHandle": message.receipt_handle,
                "body": message.body,
                "attributes": system_attributes(message),
                "messageAttributes": {},
                "md5OfBody": message.md5,
                "eventSource": "aws:sqs",
                "eventSourceARN": queue.arn,
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }
