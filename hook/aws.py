"""boto3 for a builder: a client that lives for weeks, and its many errors as one line that names the cause."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final, cast

import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotocoreConnectionError
from botocore.parsers import ResponseParserError

from hook.errors import Cause, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botocore.credentials import ReadOnlyCredentials
    from mypy_boto3_s3 import S3Client

MAX_CONNECTIONS: Final = 32
CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 60.0
"""S3 may take most of a minute to put ten thousand parts together."""
ATTEMPTS: Final = 4
"""Of one request: with the time-outs above, a bucket that hangs is trouble after five minutes at the most."""

_CHECK_CREDENTIALS: Final = "Check the AWS credentials that this user (for a service: root) has."
_CHECK_NETWORK: Final = "Check the network, AWS_REGION and AWS_ENDPOINT_URL."
_EXPIRED: Final = "Renew the AWS credentials."
_CREDENTIALS: Final = {
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidAccessKeyId": _CHECK_CREDENTIALS,
    "InvalidClientTokenId": _CHECK_CREDENTIALS,
    "InvalidIdentityToken": _CHECK_CREDENTIALS,
    "InvalidSecurity": _CHECK_CREDENTIALS,
    "InvalidToken": _CHECK_CREDENTIALS,
    "SignatureDoesNotMatch": _CHECK_CREDENTIALS,
    "UnrecognizedClientException": _CHECK_CREDENTIALS,
}
_THROTTLED: Final = frozenset(
    (
        "429",
        "503",
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    )
)
_NETWORK: Final = frozenset(
    ("BadDigest", "IncompleteBody", "InternalError", "RequestTimeout", "XAmzContentSHA256Mismatch")
)
_REMEDIES: Final = {
    "AccessDenied": "Check that the role is this builder's and that the builder's name is right.",
    "NoSuchBucket": "Check the bucket's name, region and account in the configuration.",
    "PermanentRedirect": "Check AWS_REGION: the bucket is in another one.",
}
_SERVER_ERROR: Final = 500
_TOO_MANY_REQUESTS: Final = 429
_SERVICE_UNAVAILABLE: Final = 503


def s3_client(
    *, connect_seconds: float = CONNECT_SECONDS, read_seconds: float = READ_SECONDS, attempts: int = ATTEMPTS
) -> S3Client:
    """Return a client configured by AWS's own variables and files; raises :class:`Trouble`.

    Proxies and CA bundles are those of ``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY`` and ``AWS_CA_BUNDLE``.
    """
    with aws_trouble("AWS cannot be set up"):
        session = _LastingSession()
        client = session.create_client(
            "s3",
            config=Config(
                # Put together once: botocore does it for each request otherwise, a sixth of all that it then does.
                user_agent=session.user_agent(),
                connect_timeout=connect_seconds,
                read_timeout=read_seconds,
                max_pool_connections=MAX_CONNECTIONS,
                retries={"mode": "standard", "total_max_attempts": attempts},
            ),
        )
    client.meta.events.register("after-call.s3", session.credentials.renew_if_refused)
    return cast("S3Client", client)


class _LastingSession(botocore.session.Session):
    """A session whose credentials are looked for again, where boto3 would keep for good what it found, or nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.credentials = _LastingCredentials()

    def get_credentials(self) -> Credentials:
        return self.credentials


class _LastingCredentials(Credentials):
    """What AWS's usual chain finds: kept, and refreshed by boto3, until S3 refuses it; then the chain begins anew.

    So a file of credentials that somebody renews, a role that is attached to a running machine, and a metadata service
    that was not up yet when the daemon started, are all found without a restart.
    """

    def __init__(self) -> None:
        super().__init__("", "")
        self._lock = Lock()
        self._found: Credentials | None = None

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return what to sign the next request with; raises :class:`Trouble`."""
        with self._lock, aws_trouble("AWS credentials cannot be had"):
            try:
                self._found = self._found or botocore.session.Session().get_credentials()
                if self._found is None:
                    raise NoCredentialsError
                return self._found.get_frozen_credentials()
            except (OSError, RuntimeError, ValueError, KeyError, ClientError) as error:
                # A token's file that is not there, a helper that prints something else, what was refreshed and has
                # expired all the same, a role that may not be assumed.
                self._found = None
                raise Trouble(
                    Cause.CREDENTIALS,
                    f"AWS credentials cannot be had: {_sentence(error)}",
                    remedy=_CHECK_CREDENTIALS,
                ) from error

    def renew_if_refused(self, parsed: Mapping[str, Mapping[str, str]], **_: object) -> None:
        """Forget what S3 has just called expired or unknown."""
        if parsed.get("Error", {}).get("Code") in _CREDENTIALS:
            with self._lock:
                self._found = None


@contextmanager
def aws_trouble(doing: str) -> Iterator[None]:
    """Turn boto3's errors into :class:`Trouble`; ``doing`` says what failed.

    All of them are transient for a queue: a wrong key or bucket name is mended by people, and the entries are not to
    blame.
    """
    try:
        yield
    except ClientError as error:
        raise _refused(doing, error) from error
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError) as error:
        raise Trouble(Cause.CREDENTIALS, f"{doing}: {_sentence(error)}", remedy=_CHECK_CREDENTIALS) from error
    except ProxyConnectionError as error:
        raise Trouble(
            Cause.NETWORK, f"{doing}: {_sentence(error)}", remedy="Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY."
        ) from error
    except SSLError as error:
        raise Trouble(
            Cause.NETWORK, f"{doing}: {_sentence(error)}", remedy="Check AWS_CA_BUNDLE, and this machine's clock."
        ) from error
    except (HTTPClientError, BotocoreConnectionError) as error:
        raise Trouble(Cause.NETWORK, f"{doing}: {_sentence(error)}", remedy=_CHECK_NETWORK) from error
    except ResponseParserError as error:
        raise Trouble(
            Cause.NETWORK,
            f"{doing}: what was answered is not S3's: {_sentence(error)}",
            remedy="Check whether a portal, a proxy or another AWS_ENDPOINT_URL answers in its place.",
        ) from error
    except BotoCoreError as error:
        raise Trouble(
            Cause.SERVICE, f"{doing}: {_sentence(error)}", remedy="Check AWS's settings on this machine."
        ) from error


def _refused(doing: str, error: ClientError) -> Trouble:
    code = error.response["Error"].get("Code", "an unknown error")
    message = error.response["Error"].get("Message", "").rstrip(".")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    problem = f"{doing}: AWS says {code}: {message}."
    if code == "RequestTimeTooSkewed":
        return Trouble(Cause.MACHINE, problem, remedy="Set this machine's clock.")
    if code in _CREDENTIALS:
        return Trouble(Cause.CREDENTIALS, problem, remedy=_CREDENTIALS[code])
    if code in _THROTTLED or status in {_TOO_MANY_REQUESTS, _SERVICE_UNAVAILABLE}:
        return Trouble(Cause.THROTTLED, problem, remedy="Nothing is to be done: it goes on by itself, more slowly.")
    if code in _NETWORK or status >= _SERVER_ERROR:
        # botocore makes a 500 of a page that a portal or a proxy answers with in S3's place.
        return Trouble(Cause.NETWORK, problem, remedy=f"{_CHECK_NETWORK} Does a portal or a proxy answer for S3?")
    return Trouble(Cause.SERVICE, problem, remedy=_REMEDIES.get(code, ""))


def _sentence(error: Exception) -> str:
    return f"{' '.join(str(error).split()).rstrip('.')}."
