"""The staging bucket: builders write there, ingest reads single versions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import ABSENT, aws_call, error_code
from lambdas.ingest.adapters.body import read_chunks, read_narinfo
from lambdas.ingest.ports import PinnedNar, StagedNarInfo
from nixcache.errors import PermanentError, TransientError
from protocol.keys import StagingNarInfoKey, StagingNarKey
from protocol.verdicts import ServiceCode

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

UNREADABLE: Final = frozenset(("InvalidObjectState", "InvalidRequest"))
"""How S3 says that an object is archived, or encrypted with a key that only its builder has: it never gets better."""


class S3Staging:
    """Reads ``bucket``, which must be versioned."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """Read ``bucket`` through ``s3``."""
        self._s3 = s3
        self._bucket = bucket

    def narinfo(self, key: StagingNarInfoKey, version_id: str | None) -> StagedNarInfo | None:
        """See :class:`lambdas.ingest.ports.Staging`."""
        with aws_call(self._get(key)):
            answer = self._open(str(key), version_id)
        if answer is None:
            return None
        return StagedNarInfo(self._version(answer), answer["LastModified"], read_narinfo(answer, self._get(key)))

    def versions(self, key: StagingNarInfoKey) -> tuple[str, ...]:
        """See :class:`lambdas.ingest.ports.Staging`: a page of them, that is, 1000."""
        with aws_call(f"ListObjectVersions of s3://{self._bucket}/{key}"):
            page = self._s3.list_object_versions(Bucket=self._bucket, Prefix=str(key))
        return tuple(version["VersionId"] for version in page.get("Versions", []) if version["Key"] == str(key))

    @contextmanager
    def nar(self, key: StagingNarKey) -> Iterator[tuple[PinnedNar, Iterator[bytes]] | None]:
        """See :class:`lambdas.ingest.ports.Staging`."""
        with aws_call(self._get(key)):
            answer = self._open(str(key), None)
        if answer is None:
            yield None
            return
        with closing(answer["Body"]) as body:
            nar = PinnedNar(key, self._version(answer), answer["ContentLength"])
            yield nar, read_chunks(body, self._get(key))

    def _open(self, key: str, version_id: str | None) -> GetObjectOutputTypeDef | None:
        try:
            if version_id is None:
                return self._s3.get_object(Bucket=self._bucket, Key=key)
            return self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=version_id)
        except ClientError as error:
            if error_code(error) in ABSENT:
                return None
            if error_code(error) in UNREADABLE:
                raise PermanentError(
                    ServiceCode.OBJECT_UNREADABLE,
                    f"S3 does not hand out {key}: {error_code(error)}.",
                    remedy="Upload it in the default storage class and encryption.",
                ) from error
            raise

    def _version(self, answer: GetObjectOutputTypeDef) -> str:
        version_id = answer.get("VersionId", "null")
        if version_id == "null":
            # Without versions nothing holds still: what is copied could be something else than what was verified (I2).
            raise TransientError(
                f"The staging bucket {self._bucket} is not versioned.", remedy="Turn its versioning on again."
            )
        return version_id

    def _get(self, key: StagingNarInfoKey | StagingNarKey) -> str:
        return f"GetObject of s3://{self._bucket}/{key}"
