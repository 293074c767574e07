"""The ledger bucket: results, provenance, waiting markers, votes, and the list of orphans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final, TypeVar

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import ABSENT, TAKEN, aws_call, error_code
from lambdas.ingest.ports import KeptResult
from lambdas.ingest.vote import Vote
from nixcache.errors import PermanentError, TransientError
from nixcache.store_path import HashPart
from protocol.keys import NarFile, OrphanKey, ProvenanceKey, ResultKey, VoteKey, WaitingKey
from protocol.results import Result

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

_JSON: Final = "application/json"
_ANNOUNCEMENT: Final = b""
"""What lies at a path's provenance key as long as the path is only waited for (docs/adr/0025)."""


class S3Ledger:
    """Reads and writes ``bucket``."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """Work on ``bucket`` through ``s3``."""
        self._s3 = s3
        self._bucket = bucket

    def result(self, key: ResultKey) -> KeptResult | None:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        kept = self._get(str(key))
        if kept is None:
            return None
        data, etag = kept
        try:
            return KeptResult(Result.from_json(data), etag)
        except PermanentError as error:
            # Ingest alone writes here: no submission may be blamed for it.
            raise TransientError(f"s3://{self._bucket}/{key} cannot be read: {error}", remedy="Delete it.") from error

    def create_result(self, result: Result) -> bool:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        return self._create(str(_result_key(result)), result.to_json())

    def replace_result(self, result: Result, etag: str) -> bool:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        return self._replace(str(_result_key(result)), result.to_json(), etag)

    def announce(self, awaited: HashPart) -> None:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        self._create(str(ProvenanceKey(awaited)), _ANNOUNCEMENT)

    def put_provenance(self, hash_part: HashPart, envelope: bytes, *, replaces: Callable[[bytes], bool]) -> bool:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        key = str(ProvenanceKey(hash_part))
        if self._create(key, envelope):
            return True
        kept = self._get(key)
        is_due = kept is not None and (kept[0] == _ANNOUNCEMENT or replaces(kept[0]))
        if kept is None or (is_due and not self._replace(key, envelope, kept[1])):
            raise TransientError(f"s3://{self._bucket}/{key} is written by somebody else.", remedy="It is tried again.")
        return False

    def provenance(self, hash_part: HashPart) -> bytes | None:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        kept = self._get(str(ProvenanceKey(hash_part)))
        return None if kept is None or kept[0] == _ANNOUNCEMENT else kept[0]

    def cast(self, vote: Vote) -> Vote:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        return vote if self._create(str(vote.key), vote.to_json()) else self._vote(vote.key)

    def votes(self, hash_part: HashPart) -> tuple[Vote, ...]:
        """See :class:`lambdas.ingest.ports.Ledger`. One page has a vote of each of 1000 builders."""
        prefix = VoteKey.prefix(hash_part)
        with aws_call(f"ListObjectsV2 of s3://{self._bucket}/{prefix}"):
            page = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
        return tuple(self._vote(_key_of_ours(VoteKey.parse, item["Key"])) for item in page.get("Contents", []))

    def list_orphan(self, file: NarFile) -> None:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        self._put(str(OrphanKey(file)), b"")

    def put_marker(self, marker: WaitingKey) -> None:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        self._put(str(marker), b"")

    def markers(self, missing: HashPart) -> Iterator[tuple[WaitingKey, ...]]:
        """See :class:`lambdas.ingest.ports.Ledger`."""
        prefix = WaitingKey.prefix(missing)
        with aws_call(f"ListObjectsV2 of s3://{self._bucket}/{prefix}"):
            page = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
        while found := page.get("Contents", []):
            yield tuple(_key_of_ours(WaitingKey.parse, item["Key"]) for item in found)
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

    def _vote(self, key: VoteKey) -> Vote:
        kept = self._get(str(key))
        if kept is None:
            raise TransientError(f"The vote {key} is gone again.", remedy="It is tried again.")
        return Vote.from_json(kept[0], key)

    def _get(self, key: str) -> tuple[bytes, str] | None:
        """Return an object and its ETag. Ingest wrote it, so it is small."""
        with aws_call(f"GetObject of s3://{self._bucket}/{key}"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if error_code(error) in ABSENT:
                    return None
                raise
            with closing(answer["Body"]) as body:
                data = body.read()
        if len(data) < answer["ContentLength"]:
            raise TransientError(f"GetObject of s3://{self._bucket}/{key} ended early.", remedy="It is tried again.")
        return data, answer["ETag"]

    def _put(self, key: str, data: bytes) -> None:
        with aws_call(f"PutObject of s3://{self._bucket}/{key}"):
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=_JSON)

    def _create(self, key: str, data: bytes) -> bool:
        """Write an object that is not there yet; False when it is."""
        with aws_call(f"PutObject of s3://{self._bucket}/{key}"):
            try:
                self._s3.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=_JSON, IfNoneMatch="*")
            except ClientError as error:
                if error_code(error) in TAKEN:
                    return False
                raise
        return True

    def _replace(self, key: str, data: bytes, etag: str) -> bool:
        """Write over the object with ``etag``; False when it is another by now, or gone."""
        with aws_call(f"PutObject of s3://{self._bucket}/{key}"):
            try:
                self._s3.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=_JSON, IfMatch=etag)
            except ClientError as error:
                if error_code(error) in TAKEN | ABSENT:
                    return False
                raise
        return True


def _key_of_ours(parse: Callable[[str], T], key: str) -> T:
    try:
        return parse(key)
    except PermanentError as error:
        # Ingest alone writes here: no submission may be blamed for it.
        raise TransientError(f"In the ledger, {error.problem}", remedy="Delete it.") from error


def _result_key(result: Result) -> ResultKey:
    return ResultKey(result.submission.builder, result.submission.hash_part)
