"""The waiting markers in the ledger, and how long each has been there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from lambdas.ingest.adapters.aws_call import aws_call
from nixcache.errors import PermanentError
from protocol.keys import WAITING_PREFIX, WaitingKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Markers:
    """Lists the markers in ``bucket``."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """Ask ``s3``."""
        self._s3 = s3
        self._bucket = bucket

    def left_before(self, time: datetime) -> Iterator[tuple[WaitingKey, ...]]:
        """Yield the markers that nobody has left anew since ``time``, a page of at most 1000 after the other.

        Raises :class:`TransientError`.
        """
        after = ""
        while True:
            with aws_call(f"ListObjectsV2 of s3://{self._bucket}/{WAITING_PREFIX}"):
                page = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=WAITING_PREFIX, StartAfter=after)
            found = page.get("Contents", [])
            yield tuple(_markers(item["Key"] for item in found if item["LastModified"] < time))
            if not page["IsTruncated"]:
                return
            # From the last key on, and not by a continuation token: ingest deletes markers meanwhile.
            after = found[-1]["Key"]


def _markers(keys: Iterable[str]) -> Iterator[WaitingKey]:
    for key in keys:
        # What somebody else put there wakes nobody, and shall keep nobody from being woken.
        with suppress(PermanentError):
            yield WaitingKey.parse(key)
