"""A cache that ingest has filled in the simulated AWS, and the function that re-signs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lambdas.emf import EventLog
from lambdas.ingest.adapters.clients import Clients
from lambdas.ingest.deadline import Deadline
from lambdas.resign.handler import handle
from nixcache.narinfo import NarInfo
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE, StorePath
from protocol.delivery import FUNCTION_TIMEOUT_SECONDS
from protocol.keys import CacheNarInfoKey
from protocol.settings import ResignSettings
from tests.concurrency.deployment import KEY, SimulatedDeployment
from tests.ingest.store_objects import Builder, StoreObject

NEXT = SecretKey.generate("cache.test-2")
LATER = SecretKey.generate("cache.test-3")
SETTINGS = ResignSettings(cache_bucket="cache", ledger_bucket="ledger", signing_secret_id="key", stage="test")
ADD: Mapping[str, object] = {"mode": "add"}


def reverify(*revoked: str) -> Mapping[str, object]:
    return {"mode": "reverify", "revoked": list(revoked)}


def event(keys: Sequence[str], request: object = ADD) -> dict[str, object]:
    """Return what a Distributed Map hands to the function."""
    return {"BatchInput": {"request": request}, "Items": [{"Key": key} for key in keys]}


class Cache:
    """A deployment whose first key was :data:`tests.concurrency.deployment.KEY`."""

    def __init__(self) -> None:
        self.deployment = SimulatedDeployment()

    def publish(self, *things: StoreObject) -> None:
        """Have ingest do it, with the key of now."""
        for thing in things:
            self.deployment.submit(thing)
        self.deployment.drain()
        assert all(self.deployment.published(thing.path) for thing in things)

    def rotate(self, key: SecretKey = NEXT) -> None:
        self.deployment.aws.put_secret("key", key.reveal())

    def run(
        self,
        request: object = ADD,
        *,
        clients: Clients | None = None,
        keys: Sequence[str] | None = None,
        remaining_seconds: Callable[[], float] = lambda: float(FUNCTION_TIMEOUT_SECONDS),
    ) -> dict[str, int]:
        """Invoke the function with everything that a listing has."""
        return handle(
            event(self.deployment.cache.keys() if keys is None else keys, request),
            SETTINGS,
            clients or self.deployment.connect(),
            Deadline(remaining_seconds).begin(),
            EventLog(service="resign", stage="test"),
        )

    def text(self, path: StorePath) -> bytes:
        data = self.deployment.cache.read(str(CacheNarInfoKey(path.hash_part)))
        assert data is not None
        return data

    def narinfo(self, path: StorePath) -> NarInfo:
        return NarInfo.parse(self.text(path), NIX_STORE)

    def signers(self, path: StorePath) -> list[str]:
        """Return the names of the keys whose signatures are there, in their order; each has to hold."""
        narinfo = self.narinfo(path)
        for key in (KEY, NEXT, LATER):
            if key.name in (signature.key_name for signature in narinfo.signatures):
                assert narinfo.is_signed_by(key.public_key)
        return [signature.key_name for signature in narinfo.signatures]

    def put(self, path: StorePath, data: bytes) -> None:
        """Write over a narinfo as nobody may."""
        key = str(CacheNarInfoKey(path.hash_part))
        self.deployment.connect().s3.put_object(Bucket="cache", Key=key, Body=data)


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


@pytest.fixture
def log_lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Return what was logged since the last call."""
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
