"""AWS clients for a function that must neither hang nor give up at the first hiccup.

They are made by botocore itself: importing boto3, whose transfer manager nobody needs here, costs a cold start 80 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import botocore.session
from botocore.config import Config

from lambdas.ingest.lookup import LOOK_UPS_AT_ONCE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

CONNECTIONS: Final = LOOK_UPS_AT_ONCE + 2
"""Kept open: a NAR may be streaming while references are looked up."""
_CONFIG: Final = Config(
    # One attempt and three more with growing pauses; what fails then is for the queue to retry.
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=5,
    read_timeout=60,
    max_pool_connections=CONNECTIONS,
    # A NAR is hashed by the verifier, whole; a second checksum over gigabytes would prove nothing more.
    response_checksum_validation="when_required",
)


@dataclass(frozen=True, slots=True)
class Clients:
    """The AWS that ingest speaks to."""

    s3: S3Client
    sqs: SQSClient
    secrets: SecretsManagerClient

    @classmethod
    def connect(cls) -> Clients:
        """Return clients as the environment says (region, credentials, ``AWS_ENDPOINT_URL``); sends nothing yet."""
        session = botocore.session.get_session()
        s3 = session.create_client("s3", config=_CONFIG.merge(Config(signature_version="s3v4")))
        return cls(
            s3=cast("S3Client", s3),
            sqs=cast("SQSClient", session.create_client("sqs", config=_CONFIG)),
            secrets=cast("SecretsManagerClient", session.create_client("secretsmanager", config=_CONFIG)),
        )
