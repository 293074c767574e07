"""Those who wait for a path that an operator made visible: ingest, which wakes them otherwise, knows nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assayctl.errors import aws
from nixcache.errors import PermanentError
from nixcache.store_path import HashPart
from protocol import wake
from protocol.keys import StagingNarInfoKey, WaitingKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


class Waiters:
    """Those of one deployment. Their markers stay: whoever is judged takes his own away."""

    def __init__(self, s3: S3Client, sqs: SQSClient, *, ledger_bucket: str, queue_url: str) -> None:
        self._s3 = s3
        self._sqs = sqs
        self._ledger_bucket = ledger_bucket
        self._queue_url = queue_url

    def wake(self, visible: HashPart) -> int:
        """Have all judged again that wait for ``visible``; return how many. Raises :class:`TransientError`."""
        woken = 0
        with aws(f"Those who wait for {visible} cannot be woken"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._ledger_bucket, Prefix=WaitingKey.prefix(visible)
            )
            for item in (item for page in pages for item in page.get("Contents", [])):
                try:
                    marker = WaitingKey.parse(item["Key"])
                except PermanentError:
                    continue  # what somebody else put there wakes nobody, and shall keep nobody from being woken
                submission = StagingNarInfoKey(marker.builder, marker.hash_part)
                self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=wake.render(submission))
                woken += 1
        return woken
