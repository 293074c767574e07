"""What the service said: this builder's results in the ledger bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from hook.aws import aws_trouble
from protocol.keys import ResultKey
from protocol.results import Result

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from nixcache.store_path import HashPart
    from protocol.keys import BuilderName


class Ledger:
    """Reads results below this builder's prefix."""

    def __init__(self, client: S3Client, bucket: str, builder: BuilderName) -> None:
        self._client = client
        self._bucket = bucket
        self._builder = builder

    def result(self, hash_part: HashPart) -> Result | None:
        """Return the newest verdict on a submission of ``hash_part``, of whichever version; ``None``: none yet.

        Raises :class:`TransientError`, and :class:`PermanentError` (``result-malformed``).
        """
        key = str(ResultKey(self._builder, hash_part))
        with aws_trouble(f"The verdict cannot be read from s3://{self._bucket}"):
            try:
                body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            except ClientError as error:
                # Without leave to list, S3 says AccessDenied for what does not exist yet.
                if error.response["Error"].get("Code") in {"NoSuchKey", "AccessDenied"}:
                    return None
                raise
            with body:
                return Result.from_json(body.read())
