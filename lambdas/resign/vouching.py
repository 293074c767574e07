"""Whether a builder vouched for what is published: the ledger's provenance says so (docs/adr/0065)."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import ABSENT, aws_call, error_code
from nixcache.dsse import MAX_ENVELOPE_SIZE, Envelope
from nixcache.errors import PermanentError, TransientError
from nixcache.narinfo import NarInfo
from nixcache.statement import PAYLOAD_TYPE, PREDICATE_TYPE, Statement
from protocol.keys import ProvenanceKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class LedgerProvenance:
    """The provenance in the ledger ``bucket``, which ingest alone writes.

    It is believed for lying there. Its own signature is not asked for: it may be by the key that has leaked. Whoever
    has that can make such a signature, but cannot write into the ledger.
    """

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """Read through ``s3``."""
        self._s3 = s3
        self._bucket = bucket

    def attests(self, narinfo: NarInfo) -> bool:
        """Tell whether ingest has published this path with this NAR hash; raises :class:`TransientError`."""
        data = self._read(ProvenanceKey(narinfo.store_path.hash_part))
        if not data:
            return False  # nobody published it; or an announcement that somebody waits for it (docs/adr/0025)
        try:
            envelope = Envelope.from_json(data)
            statement = Statement.from_json(envelope.payload)
        except PermanentError:
            return False
        is_provenance = (envelope.payload_type, statement.predicate_type) == (PAYLOAD_TYPE, PREDICATE_TYPE)
        return is_provenance and statement.is_about(narinfo)

    def _read(self, key: ProvenanceKey) -> bytes:
        operation = f"GetObject of s3://{self._bucket}/{key}"
        with aws_call(operation):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=str(key))
            except ClientError as error:
                if error_code(error) in ABSENT:
                    return b""
                raise
            with closing(answer["Body"]) as body:
                data = body.read(MAX_ENVELOPE_SIZE + 1)
        if len(data) < min(answer["ContentLength"], MAX_ENVELOPE_SIZE + 1):
            raise TransientError(f"{operation} ended early.", remedy="It is tried again.")
        return data
