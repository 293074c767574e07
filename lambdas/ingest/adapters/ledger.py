"""The ledger bucket: results, provenance and waiting markers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lambdas.ingest.adapters.aws_call import aws_call
from lambdas.ingest.provenance import MEDIA_TYPE
from nixcache.errors import TransientError
from nixcache.store_path import HashPart
from protocol.keys import ProvenanceKey, ResultKey, WaitingKey
from protocol.results import Result

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Ledger:
    """Reads and writes ``bucket``."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """Work on ``bucket`` through ``s3``."""
        self._s3 = s3
        self._bucket = bucket

    def record(self, result: Result) -> None:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        key = ResultKey(result.submission.builder, result.submission.hash_part)
        self._put(str(key), result.to_json(), "application/json")

    def put_provenance(self, hash_part: HashPart, statement: bytes) -> None:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        self._put(str(ProvenanceKey(hash_part)), statement, MEDIA_TYPE)

    def put_marker(self, marker: WaitingKey) -> None:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        self._put(str(marker), b"", "text/plain")

    def markers(self, missing: HashPart) -> Iterator[tuple[WaitingKey, ...]]:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        prefix = WaitingKey.prefix(missing)
        with aws_call(f"ListObjectsV2 of s3://{self._bucket}/{prefix}"):
            page = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
        while found := page.get("Contents", []):
            yield tuple(WaitingKey.parse(item["Key"]) for item in found)
            if not page["IsTruncated"]:
                return
            # From the last key on, and not by a continuation token: the page before has been deleted meanwhile.
            with aws_call(f"ListObjectsV2 of s3://{self._bucket}/{prefix}"):
                page = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix, StartAfter=found[-1]["Key"])

    def drop_markers(self, markers: tuple[WaitingKey, ...]) -> None:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        operation = f"DeleteObjects in s3://{self._bucket}"
        with aws_call(operation):
            answer = self._s3.delete_objects(
                Bucket=self._bucket,
                Delete={"Objects": [{"Key": str(marker)} for marker in markers], "Quiet": True},
            )
        if errors := answer.get("Errors"):
            raise TransientError(f"{operation} failed for {len(errors)} keys: {errors[0].get('Code')}.")

    def _put(self, key: str, data: bytes, content_type: str) -> None:
        with aws_call(f"PutObject of s3://{self._bucket}/{key}"):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=content_type)
