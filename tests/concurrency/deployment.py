"""One deployment in the simulated AWS: ingest's real handler, and all that can happen to the containers it runs in."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from lambdas.ingest.adapters.clients import Clients
from lambdas.ingest.handler import make_handler
from lambdas.ingest.wiring import build_delivery
from nixcache.narinfo import NarInfo
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE, StorePath
from nixcache.verify import DEFAULT_MAX_NAR_SIZE
from protocol import wake
from protocol.keys import (
    NARINFO_SUFFIX,
    RESULTS_PREFIX,
    WAITING_PREFIX,
    BuilderName,
    CacheNarInfoKey,
    NarFile,
    ResultKey,
    StagingNarInfoKey,
    StagingNarKey,
    WaitingKey,
)
from protocol.policy import QuorumRule, SubmissionPolicy
from protocol.results import Result
from protocol.settings import IngestSettings
from tests.ingest.store_objects import StoreObject
from tests.ingest.world import Context
from tests.simulator.aws import SimulatedAws, lambda_event
from tests.simulator.errors import Killed
from tests.simulator.requests import After, Before
from tests.simulator.sqs import Message

ALICE, BOB, CAROL = BuilderName("alice"), BuilderName("bob"), BuilderName("carol")
BUILDERS = (ALICE, BOB, CAROL)
OPEN = SubmissionPolicy.open_to(BUILDERS, DEFAULT_MAX_NAR_SIZE)
TWO_OF_THREE = SubmissionPolicy(OPEN.builders, (QuorumRule(("voted-*",), 2),))
"""Two of the three have to agree on whatever is called ``voted-…``."""
KEY = SecretKey.generate("cache.test-1")
MAX_DELIVERIES = 60

Container = Callable[[Message], bool]
"""A running function: takes a message, tells whether it was done with it."""


@dataclass
class SimulatedDeployment:
    """Buckets, queue, secret and policy, and the eyes of an administrator on them."""

    policy: SubmissionPolicy = OPEN
    aws: SimulatedAws = field(default_factory=SimulatedAws)
    deliveries: int = 0

    def __post_init__(self) -> None:
        self.staging = self.aws.create_bucket("staging", versioned=True)
        self.cache = self.aws.create_bucket("cache", versioned=True)
        self.ledger = self.aws.create_bucket("ledger", versioned=True)
        self.queue = self.aws.create_queue("ingest")
        self.aws.notify(self.staging, self.queue, suffix=NARINFO_SUFFIX)
        self.aws.put_secret("key", KEY.reveal())
        self.settings = IngestSettings(
            staging_bucket="staging",
            cache_bucket="cache",
            ledger_bucket="ledger",
            queue_url=self.queue.url,
            signing_secret_id="key",
            policy_file="given directly",
        )
        self._admin = self.aws.connect()

    # The builder's side.

    def upload(self, key: object, data: bytes) -> str:
        """PUT an object into staging; return its version."""
        return self._admin.s3.put_object(Bucket="staging", Key=str(key), Body=data)["VersionId"]

    def submit(self, thing: StoreObject, builder: BuilderName = ALICE) -> str:
        """Upload a NAR and its narinfo, in this order; return the narinfo's version."""
        self.upload(StagingNarKey(builder, NarFile.parse_url(thing.narinfo.url)), thing.file)
        return self.upload(StagingNarInfoKey(builder, thing.path.hash_part), thing.narinfo.render())

    def result(self, path: StorePath, builder: BuilderName = ALICE) -> Result:
        """Return what the builder reads in the ledger."""
        data = self.ledger.read(str(ResultKey(builder, path.hash_part)))
        assert data is not None, f"{builder} has no result of {path.base_name}"
        return Result.from_json(data)

    # AWS's side.

    def connect(self, *, before: Before | None = None, after: After | None = None) -> Clients:
        """Return clients for one container."""
        return self.aws.connect(before=before, after=after)

    def container(self, clients: Clients | None = None) -> Container:
        """Start a fresh function."""
        used = clients or self._admin
        handler = make_handler(lambda: build_delivery(self.settings, self.policy, used, now=lambda: self.aws.clock.now))

        def invoke(message: Message) -> bool:
            self.deliveries += 1
            response = handler(cast("dict[str, Any]", lambda_event(self.queue, [message])), cast("Any", Context()))
            if response["batchItemFailures"]:
                return False
            self.queue.delete(message.receipt_handle)
            return True

        return invoke

    def drain(self, start: Callable[[], Container] | None = None, *, most: int = MAX_DELIVERIES) -> None:
        """Deliver until the queue is empty, letting time pass; whenever a container dies, a new one is started.

        More than ``most`` deliveries are taken for a loop.
        """
        start = start or self.container
        container = start()
        delivered = 0
        while messages := self.queue.messages:
            soonest = min(message.visible_at for message in messages)
            self.aws.clock.advance(max(0.0, soonest - self.aws.clock.seconds()))
            for message in self.queue.visible:
                assert self.queue.take(message), f"{message.body} is a dead letter"
                delivered += 1
                assert delivered <= most, "it never ends"
                try:
                    container(message)
                except Killed:
                    container = start()

    def sweep(self) -> None:
        """Wake whoever left a marker, as the sweeper does with old ones."""
        for key in self.ledger.keys(WAITING_PREFIX):
            marker = WaitingKey.parse(key)
            self.queue.send(wake.render(StagingNarInfoKey(marker.builder, marker.hash_part)))

    # What readers and administrators see.

    def published(self, path: StorePath) -> NarInfo | None:
        """Return the narinfo that readers get."""
        data = self.cache.read(str(CacheNarInfoKey(path.hash_part)))
        return None if data is None else NarInfo.parse(data, NIX_STORE)

    def results(self) -> Iterable[Result]:
        """Yield all results."""
        for key in self.ledger.keys(RESULTS_PREFIX):
            data = self.ledger.read(key)
            if data is not None:
                yield Result.from_json(data)

    def state(self) -> Mapping[str, object]:
        """Return all that has to come out the same: cache and ledger, but for times, versions, and stale markers.

        A marker is stale when what it waits for is published. It wakes somebody in vain, once, or expires.
        """
        state: dict[str, object] = {}
        for bucket in (self.cache, self.ledger):
            for key in bucket.keys():  # noqa: SIM118 - a bucket is no dict
                if key.startswith(WAITING_PREFIX) and self.cache.read(
                    str(CacheNarInfoKey(WaitingKey.parse(key).missing))
                ):
                    continue
                data = bucket.read(key) or b""
                state[f"{bucket.name}/{key}"] = _timeless(json.loads(data)) if data and _is_json(key) else data
        return state


def _is_json(key: str) -> bool:
    return key.endswith(".json")


def _timeless(document: object) -> object:
    match document:
        case {"payload": str(payload)}:
            return _timeless(json.loads(base64.b64decode(payload)))
        case dict():
            return {key: _timeless(value) for key, value in document.items() if key not in {"at", "versionId"}}
        case list():
            return [_timeless(item) for item in document]
    return document
