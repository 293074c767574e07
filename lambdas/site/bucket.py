"""The four objects of the cache bucket that are about the cache, and no store object's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import ABSENT, TAKEN, aws_call, error_code
from nixcache.errors import TransientError
from nixcache.store_path import StoreDir
from protocol.cache_info import CACHE_INFO_TYPE, cache_info
from protocol.keys import INDEX_KEY, NIX_CACHE_INFO_KEY, STATUS_KEY

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_HOURLY: Final = "public, max-age=3600"
# A new key has to be seen soon, and a count that is a minute old is as good as a new one.
_MINUTELY: Final = "public, max-age=60"


class SiteBucket:
    """Reads and writes them in ``bucket``."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """Work on ``bucket`` through ``s3``."""
        self._s3 = s3
        self._bucket = bucket

    def ensure_cache_info(self, store_dir: StoreDir) -> bool:
        """Write ``nix-cache-info`` if there is none; one that an operator has put there stays. Tell whether it did.

        Raises :class:`TransientError`.
        """
        with aws_call(f"PutObject of s3://{self._bucket}/{NIX_CACHE_INFO_KEY}"):
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=NIX_CACHE_INFO_KEY,
                    Body=cache_info(store_dir),
                    IfNoneMatch="*",
                    ContentType=CACHE_INFO_TYPE,
                    CacheControl=_HOURLY,
                )
            except ClientError as error:
                if error_code(error) in TAKEN:
                    return False
                raise
        return True

    def put_page(self, page: bytes) -> None:
        """Write the landing page; raises :class:`TransientError`."""
        self._put(INDEX_KEY, page, "text/html; charset=utf-8")

    def put_status(self, status: bytes) -> None:
        """Write the counts; raises :class:`TransientError`."""
        self._put(STATUS_KEY, status, "application/json")

    def read(self, key: str, *, limit: int) -> bytes | None:
        """Return an object of at most ``limit`` bytes, None where it is missing; raises :class:`TransientError`."""
        operation = f"GetObject of s3://{self._bucket}/{key}"
        with aws_call(operation):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if error_code(error) in ABSENT:
                    return None
                raise
            data = answer["Body"].read(limit + 1)
        if len(data) > limit:
            raise TransientError(f"{operation}: it has more than {limit:,} bytes.", remedy="See who wrote it.")
        return data

    def _put(self, key: str, body: bytes, content_type: str) -> None:
        with aws_call(f"PutObject of s3://{self._bucket}/{key}"):
            self._s3.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType=content_type, CacheControl=_MINUTELY
            )
