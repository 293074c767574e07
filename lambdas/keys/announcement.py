"""What readers are to trust, as two objects of the cache: lines for nix.conf, and a document for programs."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from lambdas.ingest.adapters.aws_call import aws_call
from lambdas.keys.secret import KeyVersion, SigningSecret
from protocol.keys import PUBLIC_KEYS_JSON_KEY, PUBLIC_KEYS_KEY
from protocol.signing_secret import CURRENT, PREVIOUS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

VERSION: Final = 1
_CACHE_CONTROL: Final = "public, max-age=300"


def announce(s3: S3Client, bucket: str, secret: SigningSecret, overlap: timedelta) -> tuple[str, ...]:
    """Write which keys there are, the present one first; returns their names. Raises :class:`TransientError`.

    The key before stays announced for as long as the secret has it, past the day from which it signs no more: what
    nobody has re-signed bears its signature alone.
    """
    current = secret.in_stage(CURRENT)
    if current is None:
        return ()
    keys: list[tuple[KeyVersion, datetime | None]] = [(current, None)]
    previous = secret.in_stage(PREVIOUS)
    if previous is not None and previous.key.name != current.key.name:
        keys.append((previous, current.made_at + overlap))
    lines = "".join(f"{version.key.public_key}\n" for version, _ in keys)
    document = {
        "version": VERSION,
        "keys": [
            {
                "name": version.key.name,
                "publicKey": str(version.key.public_key),
                "since": _time(version.made_at),
                "until": None if until is None else _time(until),
            }
            for version, until in keys
        ],
    }
    for key, body, content_type in (
        (PUBLIC_KEYS_KEY, lines, "text/plain; charset=utf-8"),
        (PUBLIC_KEYS_JSON_KEY, json.dumps(document, indent=2) + "\n", "application/json"),
    ):
        with aws_call(f"PutObject of s3://{bucket}/{key}"):
            s3.put_object(
                Bucket=bucket, Key=key, Body=body.encode(), ContentType=content_type, CacheControl=_CACHE_CONTROL
            )
    return tuple(version.key.name for version, _ in keys)


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
