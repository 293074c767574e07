"""What the key function announces is what the page says; nothing else is read as keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from mypy_boto3_s3 import S3Client

from lambdas.keys.announcement import announce
from lambdas.keys.secret import KeyVersion, SigningSecret
from lambdas.site.announced import AnnouncedKey, read_public_keys
from nixcache.errors import TransientError
from nixcache.signing import SecretKey
from protocol.keys import PUBLIC_KEYS_JSON_KEY
from protocol.signing_secret import CURRENT, PREVIOUS

FIRST = datetime(2026, 8, 1, 12, 30, tzinfo=UTC)
SECOND = datetime(2026, 11, 1, tzinfo=UTC)
OVERLAP = timedelta(days=90)


def test_what_is_announced_is_read() -> None:
    old, new = SecretKey.generate("cache-1"), SecretKey.generate("cache-2")
    written: dict[str, bytes] = {}

    class Secret:
        def in_stage(self, stage: str) -> KeyVersion:
            return {CURRENT: KeyVersion("two", new, SECOND), PREVIOUS: KeyVersion("one", old, FIRST)}[stage]

    class Bucket:
        def put_object(self, **request: Any) -> None:  # noqa: ANN401  as botocore has it
            written[request["Key"]] = request["Body"]

    announce(cast("S3Client", Bucket()), "cache", cast("SigningSecret", Secret()), OVERLAP)
    assert read_public_keys(written[PUBLIC_KEYS_JSON_KEY]) == (
        AnnouncedKey(new.public_key, SECOND, None),
        AnnouncedKey(old.public_key, FIRST, SECOND + OVERLAP),
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b'{"version": 1}',
        b'{"version": 2, "keys": []}',
        b'{"version": 1, "keys": [null]}',
        b'{"version": 1, "keys": [{"publicKey": "cache-1:AAAA", "since": "2026-11-01T00:00:00Z"}]}',
        b'{"version": 1, "keys": {"publicKey": 1}}',
        b"[" * 100_000,
    ],
)
def test_anything_else_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(TransientError, match=r"public-keys\.json cannot be read"):
        read_public_keys(data)
