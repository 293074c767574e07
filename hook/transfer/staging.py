"""The staging bucket: one PUT for what is small, a multipart upload for what is not, nothing left over on failure."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from hook.aws import aws_trouble
from nixcache.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

    from protocol.keys import StagingNarInfoKey, StagingNarKey

PART_SIZE: Final = 8 * 1024 * 1024
"""Bytes. S3 takes at most 10,000 parts, so this reaches 78 GiB, beyond any NAR that a service accepts."""
NAR_CONTENT_TYPE: Final = "application/x-nix-nar"
NARINFO_CONTENT_TYPE: Final = "text/x-nix-narinfo"


@dataclass(frozen=True, slots=True)
class Staged:
    """A narinfo in staging: exactly this version awaits its verdict. ``at`` is the bucket's clock, not ours."""

    version_id: str
    at: datetime


class Staging:
    """Writes below this builder's prefix, which is all that its role can do."""

    def __init__(self, client: S3Client, bucket: str, *, part_size: int = PART_SIZE) -> None:
        self._client = client
        self._bucket = bucket
        self._part_size = part_size

    def put_nar(self, key: StagingNarKey, pieces: Iterable[bytes]) -> None:
        """Upload ``pieces`` in constant memory; whatever they raise ends the upload without a trace."""
        parts = _parts(pieces, self._part_size)
        first, second = next(parts, b""), next(parts, None)
        with aws_trouble(f"The NAR cannot be put into s3://{self._bucket}"):
            if second is None:
                self._client.put_object(Bucket=self._bucket, Key=str(key), Body=first, ContentType=NAR_CONTENT_TYPE)
            else:
                self._put_multipart(str(key), chain((first, second), parts))

    def put_narinfo(self, key: StagingNarInfoKey, data: bytes) -> Staged:
        """Upload a narinfo, which submits it."""
        with aws_trouble(f"The narinfo cannot be put into s3://{self._bucket}"):
            response = self._client.put_object(
                Bucket=self._bucket, Key=str(key), Body=data, ContentType=NARINFO_CONTENT_TYPE
            )
        version_id = response.get("VersionId")
        if not version_id:
            raise TransientError(
                f"The bucket {self._bucket} keeps no versions, so no verdict can name this submission.",
                remedy="Check staging_bucket: Assay's own staging bucket has versioning enabled.",
            )
        return Staged(version_id, _date(response["ResponseMetadata"]["HTTPHeaders"]))

    def _put_multipart(self, key: str, parts: Iterable[bytes]) -> None:
        upload = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ContentType=NAR_CONTENT_TYPE)
        upload_id = upload["UploadId"]
        try:
            completed: list[CompletedPartTypeDef] = []
            for number, part in enumerate(parts, start=1):
                answer = self._client.upload_part(
                    Bucket=self._bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=part
                )
                completed.append({"PartNumber": number, "ETag": answer["ETag"]})
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": completed}
            )
        except BaseException:
            # Also for Ctrl-C: parts of an upload that nobody completes are invisible, and paid for. Where not even this
            # works, the first error is the one to tell, and the bucket's lifecycle rule clears up.
            with suppress(ClientError, BotoCoreError):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
            raise


def _parts(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Regroup ``pieces`` into parts of exactly ``size`` bytes, the last one smaller."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        while len(buffer) >= size:
            yield bytes(buffer[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)


def _date(headers: Mapping[str, str]) -> datetime:
    """Return the server's time, to the second; ours where a server sends none."""
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC)
