"""The list of what is withdrawn, which ingest goes by: read, and written over what was read or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from assayctl.errors import aws
from nixcache.errors import PermanentError, TransientError
from nixcache.hashes import Hash
from nixcache.store_path import HashPart
from protocol.keys import WITHDRAWN_KEY
from protocol.withdrawn import MAX_SIZE, Withdrawn

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TRIES: Final = 10
_ABSENT: Final = "NoSuchKey"
_OUTDATED: Final = frozenset(("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"))
"""Another has written since, is writing, or has deleted: look again."""


class WithdrawnList:
    """The list in one ledger bucket. All methods raise :class:`TransientError`."""

    def __init__(self, s3: S3Client, ledger_bucket: str) -> None:
        self._s3 = s3
        self._bucket = ledger_bucket

    def read(self) -> Withdrawn:
        """Return what is withdrawn now."""
        return self._read()[0]

    def change(self, change: Callable[[Withdrawn], Withdrawn]) -> Withdrawn:
        """Write what ``change`` makes of the list, with what others add meanwhile; return it.

        ``change`` may be called several times. Where it changes nothing, nothing is written.
        """
        for _ in range(_TRIES):
            before, etag = self._read()
            after = change(before)
            if after == before or self._write(after, etag):
                return after
        raise TransientError(f"{WITHDRAWN_KEY} changes all the time.", remedy="Run the command again.")

    def readmit(self, hash_part: HashPart, nar_hash: Hash | None) -> None:
        """Refuse one object no longer."""
        self.change(lambda before: before.readmitting(hash_part, nar_hash))

    def _read(self) -> tuple[Withdrawn, str | None]:
        with aws(f"{WITHDRAWN_KEY} cannot be read"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=WITHDRAWN_KEY)
            except ClientError as error:
                if error.response["Error"].get("Code") == _ABSENT:
                    return Withdrawn(), None
                raise
            data = answer["Body"].read(MAX_SIZE + 1)
        try:
            return Withdrawn.from_json(data), answer["ETag"]
        except PermanentError as error:
            # Not the arguments' fault, and never written over: what is in it would be let in again.
            raise TransientError(f"s3://{self._bucket}/{WITHDRAWN_KEY}: {error}", remedy=error.remedy) from error

    def _write(self, withdrawn: Withdrawn, etag: str | None) -> bool:
        data = withdrawn.to_json()
        with aws(f"{WITHDRAWN_KEY} cannot be written"):
            try:
                if etag is None:
                    self._s3.put_object(Bucket=self._bucket, Key=WITHDRAWN_KEY, Body=data, IfNoneMatch="*")
                else:
                    self._s3.put_object(Bucket=self._bucket, Key=WITHDRAWN_KEY, Body=data, IfMatch=etag)
            except ClientError as error:
                if error.response["Error"].get("Code") in _OUTDATED:
                    return False
                raise
        return True
