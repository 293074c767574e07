"""Who published what, as the ledger attests it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from assayctl.errors import aws
from nixcache.dsse import Envelope
from nixcache.errors import AssayError, TransientError
from nixcache.store_path import HashPart, parse_hash_part
from protocol.keys import PROVENANCE_PREFIX

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Publication:
    """One path, by its hash part: which builders vouched for it, and when it was published."""

    hash_part: HashPart
    builders: frozenset[str]
    at: datetime


def publications(s3: S3Client, ledger_bucket: str) -> Iterator[Publication]:
    """Yield everything that the ledger attests, a request for each; raises :class:`TransientError`.

    The ledger is believed for being the ledger: ingest alone writes there, and a leaked key signs no object of it.
    """
    keys: list[str] = []
    with aws(f"s3://{ledger_bucket} cannot be listed"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=ledger_bucket, Prefix=PROVENANCE_PREFIX):
            keys.extend(item["Key"] for item in page.get("Contents", []))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from filter(None, pool.map(lambda key: _read(s3, ledger_bucket, key), keys))


def _read(s3: S3Client, bucket: str, key: str) -> Publication | None:
    with aws(f"{key} cannot be read"):
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    if not body:
        return None  # the path is waited for, and not published (docs/adr/0025)
    try:
        predicate = json.loads(Envelope.from_json(body).payload)["predicate"]
        votes = (predicate["quorum"] or {}).get("votes", [])
        return Publication(
            hash_part=parse_hash_part(key.removeprefix(PROVENANCE_PREFIX).removesuffix(".json")),
            builders=frozenset((predicate["builder"], *(vote["builder"] for vote in votes))),
            at=datetime.fromisoformat(predicate["at"]),
        )
    except (AssayError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TransientError(f"{key} in s3://{bucket} is no provenance: {error!r}") from error
