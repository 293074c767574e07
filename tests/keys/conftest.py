"""A signing secret and a cache bucket in moto, and the function that looks after them."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import botocore.session
import pytest
from botocore.config import Config
from mypy_boto3_s3 import S3Client
from mypy_boto3_secretsmanager import SecretsManagerClient

from lambdas.emf import EventLog
from lambdas.keys.handler import Clients, handle
from local.aws import REGION, Aws
from nixcache.signing import SecretKey
from protocol.settings import KeySettings

OVERLAP_DAYS = 90


@dataclass(frozen=True, slots=True)
class Keys:
    """One deployment's keys, as its function and as an administrator of moto see them."""

    clients: Clients
    settings: KeySettings

    def call(self, **event: object) -> tuple[str, ...]:
        """Invoke the function."""
        return self.call_at(datetime.now(UTC), **event)

    def call_at(self, now: datetime, **event: object) -> tuple[str, ...]:
        """Invoke the function at another time."""
        return handle(event, self.settings, self.clients, EventLog(service="keys", stage="test"), now)

    def without_overlap(self) -> Keys:
        """Return the same keys on the day on which the overlap is over."""
        return replace(self, settings=replace(self.settings, key_overlap_days=0))

    def step(self, name: str, version_id: str) -> tuple[str, ...]:
        """Invoke it as Secrets Manager does."""
        return self.call(Step=name, SecretId=self.settings.signing_secret_id, ClientRequestToken=version_id)

    def begin(self) -> str:
        """Make the empty version that Secrets Manager makes before the first step, and return its id."""
        version_id = str(uuid.uuid4())
        self.put("being made", version_id=version_id, stage="AWSPENDING")
        return version_id

    def put(self, text: str, *, version_id: str | None = None, stage: str = "AWSCURRENT") -> None:
        self.clients.secrets.put_secret_value(
            SecretId=self.settings.signing_secret_id,
            SecretString=text,
            ClientRequestToken=version_id or str(uuid.uuid4()),
            VersionStages=[stage],
        )

    def text(self, stage: str = "AWSCURRENT") -> str:
        return self.clients.secrets.get_secret_value(SecretId=self.settings.signing_secret_id, VersionStage=stage)[
            "SecretString"
        ]

    def key(self, stage: str = "AWSCURRENT") -> SecretKey:
        return SecretKey.parse(self.text(stage))

    def get(self, key: str) -> bytes:
        return self.clients.s3.get_object(Bucket=self.settings.cache_bucket, Key=key)["Body"].read()

    def announced(self) -> list[dict[str, str | None]]:
        keys: list[dict[str, str | None]] = json.loads(self.get("public-keys.json"))["keys"]
        return keys


@pytest.fixture(scope="session")
def clients(aws: Aws) -> Clients:
    session = botocore.session.Session()
    arguments: dict[str, Any] = {
        "endpoint_url": aws.endpoint,
        "region_name": REGION,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "config": Config(retries={"total_max_attempts": 1}, proxies={}, signature_version="v4"),
    }
    s3 = arguments | {"config": arguments["config"].merge(Config(signature_version="s3v4"))}
    return Clients(
        s3=cast("S3Client", session.create_client("s3", **s3)),
        secrets=cast("SecretsManagerClient", session.create_client("secretsmanager", **arguments)),
    )


@pytest.fixture
def keys(clients: Clients) -> Keys:
    mark = uuid.uuid4().hex[:12]
    settings = KeySettings(
        signing_secret_id=f"assay/{mark}/signing-key",
        cache_bucket=f"cache-{mark}",
        key_name="cache.test",
        key_overlap_days=OVERLAP_DAYS,
        stage="test",
    )
    clients.s3.create_bucket(Bucket=settings.cache_bucket)
    clients.secrets.create_secret(Name=settings.signing_secret_id)
    return Keys(clients, settings)
