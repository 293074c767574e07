"""What can stop an operator's command, said in one line with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from botocore.exceptions import BotoCoreError, ClientError

from nixcache.errors import PermanentError, TransientError


class OperatorCode(StrEnum):
    """What can be wrong with what an operator asks for."""

    NOT_DEPLOYED = "not-deployed"
    NOT_IN_THIS_DEPLOYMENT = "not-in-this-deployment"
    ARGUMENT_INVALID = "argument-invalid"
    PACKAGE_MISSING = "package-missing"
    REFUSED = "refused"


def invalid(problem: str, remedy: str) -> PermanentError:
    """Return the error for an argument that nothing can be done with."""
    return PermanentError(OperatorCode.ARGUMENT_INVALID, problem, remedy=remedy)


@contextmanager
def aws(doing: str) -> Iterator[None]:
    """Make of whatever AWS or the way to it refuses a :class:`TransientError` that says while doing what."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise TransientError(
            f"{doing}: {error}", remedy="Check AWS_PROFILE, AWS_REGION and what these credentials may do."
        ) from error
