"""boto3 for a builder: the client, and its many errors as one line that names the cause."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotocoreConnectionError

from nixcache.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

MAX_CONNECTIONS: Final = 32

_CHECK_CREDENTIALS: Final = "Check the AWS credentials that this user (for a service: root) has."
_REMEDIES: Final = {
    "AccessDenied": "Check that the role is this builder's and that the builder's name is right.",
    "ExpiredToken": "Renew the AWS credentials.",
    "InvalidAccessKeyId": _CHECK_CREDENTIALS,
    "InvalidToken": _CHECK_CREDENTIALS,
    "NoSuchBucket": "Check the bucket's name, region and account in the configuration.",
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "SignatureDoesNotMatch": _CHECK_CREDENTIALS,
}


def s3_client() -> S3Client:
    """Return a client configured by AWS's own variables and files; raises :class:`TransientError`."""
    with aws_trouble("AWS cannot be set up"):
        return Session().client(
            "s3",
            config=Config(
                connect_timeout=10,
                read_timeout=60,
                max_pool_connections=MAX_CONNECTIONS,
                retries={"mode": "standard", "total_max_attempts": 4},
            ),
        )


@contextmanager
def aws_trouble(doing: str) -> Iterator[None]:
    """Turn boto3's errors into :class:`TransientError`; ``doing`` says what failed.

    All of them are transient for a queue: a wrong key or bucket name is mended by people, and the entries are not to
    blame.
    """
    try:
        yield
    except ClientError as error:
        code = error.response["Error"].get("Code", "an unknown error")
        message = error.response["Error"].get("Message", "").rstrip(".")
        raise TransientError(f"{doing}: AWS says {code}: {message}.", remedy=_REMEDIES.get(code, "")) from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError) as error:
        raise TransientError(f"{doing}: {_sentence(error)}", remedy=_CHECK_CREDENTIALS) from error
    except (HTTPClientError, BotocoreConnectionError) as error:
        raise TransientError(
            f"{doing}: {_sentence(error)}", remedy="Check the network, AWS_REGION and AWS_ENDPOINT_URL."
        ) from error
    except BotoCoreError as error:
        raise TransientError(f"{doing}: {_sentence(error)}", remedy="Check AWS's settings on this machine.") from error


def _sentence(error: Exception) -> str:
    return f"{' '.join(str(error).split()).rstrip('.')}."
