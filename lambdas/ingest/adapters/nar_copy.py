"""From staging to the cache without a byte passing through here: S3 copies the pinned version itself (I2)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import ABSENT, TAKEN, aws_call, error_code
from lambdas.ingest.ports import PinnedNar

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CopySourceTypeDef

CONTENT_TYPE: Final = "application/x-nix-nar"
CACHE_CONTROL: Final = "public, max-age=31536000, immutable"
"""A NAR's name is the hash of its bytes: it can never change."""
MAX_SINGLE_COPY_SIZE: Final = 5 * 1024**3
"""Bytes; S3's limit for CopyObject."""
PART_SIZE: Final = 512 * 1024**2
"""Bytes in a part of a larger copy; S3 allows 5 MiB to 5 GiB, and 10,000 parts."""
PARTS_AT_ONCE: Final = 8


class NarCopy:
    """Copies from staging to the cache, unless the target is there: it has the same bytes, being named by them."""

    def __init__(
        self,
        s3: S3Client,
        *,
        staging_bucket: str,
        cache_bucket: str,
        max_single_copy_size: int = MAX_SINGLE_COPY_SIZE,
        part_size: int = PART_SIZE,
    ) -> None:
        """Copy from ``staging_bucket`` to ``cache_bucket``; sizes are in bytes."""
        self._s3 = s3
        self._staging_bucket = staging_bucket
        self._cache_bucket = cache_bucket
        self._max_single_copy_size = max_single_copy_size
        self._part_size = part_size

    def copy(self, source: PinnedNar, key: str) -> bool:
        """Have ``source`` at ``key`` in the cache; False when that version of it is gone."""
        at: CopySourceTypeDef = {
            "Bucket": self._staging_bucket,
            "Key": str(source.key),
            "VersionId": source.version_id,
        }
        with aws_call(f"Copying s3://{self._staging_bucket}/{source.key} to s3://{self._cache_bucket}/{key}"):
            try:
                if source.size <= self._max_single_copy_size:
                    self._copy_at_once(at, key)
                elif not self._is_there(key):
                    self._copy_in_parts(at, key, source.size)
            except ClientError as error:
                if error_code(error) in ABSENT:
                    return False
                if error_code(error) not in TAKEN:
                    raise
        return True

    def _copy_at_once(self, source: CopySourceTypeDef, key: str) -> None:
        self._s3.copy_object(
            Bucket=self._cache_bucket,
            Key=key,
            CopySource=source,
            # Saves asking first whether it is there.
            IfNoneMatch="*",
            # A builder's own headers, metadata and tags stay behind (I5).
            MetadataDirective="REPLACE",
            TaggingDirective="REPLACE",
            ContentType=CONTENT_TYPE,
            CacheControl=CACHE_CONTROL,
        )

    def _is_there(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._cache_bucket, Key=key)
        except ClientError as error:
            if error_code(error) in ABSENT:
                return False
            raise
        return True

    def _copy_in_parts(self, source: CopySourceTypeDef, key: str, size: int) -> None:
        upload_id = self._s3.create_multipart_upload(
            Bucket=self._cache_bucket, Key=key, ContentType=CONTENT_TYPE, CacheControl=CACHE_CONTROL
        )["UploadId"]

        def copy_part(number: int) -> CompletedPartTypeDef:
            start = (number - 1) * self._part_size
            end = min(start + self._part_size, size) - 1
            part = self._s3.upload_part_copy(
                Bucket=self._cache_bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                CopySource=source,
                CopySourceRange=f"bytes={start}-{end}",
            )
            return {"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]}

        # An upload that breaks off here is left to the bucket's lifecycle rule, as one is after any crash.
        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            parts = list(pool.map(copy_part, range(1, -(-size // self._part_size) + 1)))
        self._s3.complete_multipart_upload(
            Bucket=self._cache_bucket,
            Key=key,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
            IfNoneMatch="*",
        )
