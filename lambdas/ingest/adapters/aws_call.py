"""botocore's errors, turned into the one that sends a message back to the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import urllib3.exceptions
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from nixcache.errors import TransientError

ABSENT: Final = frozenset(("NoSuchKey", "NoSuchVersion", "404"))
"""How S3 says that an object is not there, to whoever may list the bucket. To others it says 403: no answer at all."""
TAKEN: Final = frozenset(("PreconditionFailed", "412"))
"""How S3 says that ``If-None-Match`` or ``If-Match`` does not hold. 409 (another write is under way) is transient."""

_REMEDY: Final = {
    "AccessDenied": "The ingest role lacks a grant: deploy the stack again.",
    "NoSuchBucket": "A bucket of the deployment is gone.",
    "ResourceNotFoundException": "The signing secret is gone, or was never filled.",
}


@contextmanager
def aws_call(operation: str) -> Iterator[None]:
    """Turn what goes wrong in an AWS call, or in reading its answer, into :class:`TransientError`.

    ``operation`` is what was tried, such as ``GetObject of s3://bucket/key``. Access denied is transient, too: it is
    the operator's fault and not the submission's, which must be there when it is mended. A call that could never work
    (botocore's parameter validation) is a bug, and passes.
    """
    try:
        yield
    except ParamValidationError:
        raise
    except ClientError as error:
        code = error_code(error)
        raise TransientError(f"{operation} failed: {code}.", remedy=_REMEDY.get(code, "It is tried again.")) from error
    # The body of an answer is read from the socket by us, so urllib3's and the system's own errors come through.
    except (BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
        raise TransientError(f"{operation} failed: {error}.", remedy="It is tried again.") from error


def error_code(error: ClientError) -> str:
    """Return S3's code; for a HEAD request, which has no body to hold one, the HTTP status."""
    return error.response.get("Error", {}).get("Code", "unknown")
