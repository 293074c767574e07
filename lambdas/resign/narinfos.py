"""The published narinfos: read with all that S3 keeps beside them, and replaced by what differs in signatures alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import ABSENT, TAKEN, aws_call, error_code
from lambdas.ingest.adapters.body import read_chunks, read_narinfo
from protocol.keys import CacheNarInfoKey, CacheNarKey, NarFile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

_OTHER_WRITE: Final = "ConditionalRequestConflict"


class _Headers(TypedDict, total=False):
    """What PutObject takes of what GetObject returns; a write without them would take them away."""

    ContentType: str
    CacheControl: str
    ContentEncoding: str
    ContentDisposition: str
    ContentLanguage: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was read; ``metadata`` is ingest's, which knows a publication's submission by it."""

    data: bytes
    etag: str
    headers: _Headers
    metadata: Mapping[str, str]


class S3NarInfos:
    """Those in ``bucket``. All methods raise :class:`TransientError`."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """Work on ``bucket`` through ``s3``."""
        self._s3 = s3
        self._bucket = bucket

    def read(self, key: CacheNarInfoKey) -> Stored | None:
        """Return what is published now; None where nothing is."""
        answer = self._get(str(key))
        if answer is None:
            return None
        data = read_narinfo(answer, f"GetObject of s3://{self._bucket}/{key}")
        return Stored(data, answer["ETag"], _headers(answer), answer["Metadata"])

    def replace(self, key: CacheNarInfoKey, stored: Stored, data: bytes) -> bool:
        """Write ``data`` in the place of ``stored``; False if that is not what is there any more."""
        with aws_call(f"PutObject of s3://{self._bucket}/{key}"):
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=str(key),
                    Body=data,
                    IfMatch=stored.etag,
                    Metadata=stored.metadata,
                    **stored.headers,
                )
            except ClientError as error:
                # 404 is what S3 says to If-Match where the object is gone; the next look sees that it is.
                if error_code(error) in TAKEN | ABSENT | {_OTHER_WRITE}:
                    return False
                raise
        return True

    @contextmanager
    def nar(self, file: NarFile) -> Iterator[Iterator[bytes] | None]:
        """Open a published NAR; None where it is not there."""
        key = str(CacheNarKey(file))
        answer = self._get(key)
        if answer is None:
            yield None
            return
        with closing(answer["Body"]) as body:
            yield read_chunks(body, f"GetObject of s3://{self._bucket}/{key}")

    def _get(self, key: str) -> GetObjectOutputTypeDef | None:
        with aws_call(f"GetObject of s3://{self._bucket}/{key}"):
            try:
                return self._s3.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if error_code(error) in ABSENT:
                    return None
                raise


def _headers(answer: GetObjectOutputTypeDef) -> _Headers:
    headers = _Headers()
    if "ContentType" in answer:
        headers["ContentType"] = answer["ContentType"]
    if "CacheControl" in answer:
        headers["CacheControl"] = answer["CacheControl"]
    if "ContentEncoding" in answer:
        headers["ContentEncoding"] = answer["ContentEncoding"]
    if "ContentDisposition" in answer:
        headers["ContentDisposition"] = answer["ContentDisposition"]
    if "ContentLanguage" in answer:
        headers["ContentLanguage"] = answer["ContentLanguage"]
    return headers
