"""The list of what is withdrawn, kept for a few minutes and then read again, as the keys are (docs/adr/0070)."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import ABSENT, aws_call, error_code
from nixcache.errors import PermanentError, TransientError
from protocol.keys import WITHDRAWN_KEY
from protocol.withdrawn import KEPT_SECONDS, MAX_SIZE, Withdrawn

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class LedgerWithdrawals:
    """Reads the list in the ledger ``bucket``."""

    def __init__(self, s3: S3Client, bucket: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read through ``s3``; ``monotonic`` tells seconds."""
        self._s3 = s3
        self._bucket = bucket
        self._monotonic = monotonic
        self._kept = Withdrawn()
        self._kept_until = float("-inf")

    def current(self) -> Withdrawn:
        """See :class:`lambdas.ingest.ports.Withdrawals`.

        When it cannot be read again, what was kept is not used any longer: what is bad may have been added to it.
        """
        now = self._monotonic()
        if now >= self._kept_until:
            self._kept = self._read()
            # From before the request: what is added while it is under way is not in the answer.
            self._kept_until = now + KEPT_SECONDS
        return self._kept

    def _read(self) -> Withdrawn:
        operation = f"GetObject of s3://{self._bucket}/{WITHDRAWN_KEY}"
        with aws_call(operation):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=WITHDRAWN_KEY)
            except ClientError as error:
                if error_code(error) in ABSENT:
                    return Withdrawn()
                raise
            with closing(answer["Body"]) as body:
                data = body.read(MAX_SIZE + 1)
        if len(data) < min(answer["ContentLength"], MAX_SIZE + 1):
            raise TransientError(f"{operation} ended early.", remedy="It is tried again.")
        try:
            return Withdrawn.from_json(data)
        except PermanentError as error:
            # An operator's fault, and no submission's: all wait in the queue, and an alarm says so, until it is mended.
            raise TransientError(f"s3://{self._bucket}/{WITHDRAWN_KEY}: {error}", remedy=error.remedy) from error
