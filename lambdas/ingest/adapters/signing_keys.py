"""The secret keys, kept for a few minutes and then read again, so that a rotation arrives (docs/adr/0023, 0064)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import aws_call, error_code
from nixcache.errors import PermanentError, TransientError
from nixcache.signing import SecretKey
from protocol.signing_secret import CURRENT, PREVIOUS

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

KEPT_SECONDS: Final = 300.0
"""After a rotation, a container signs with the old key for this long at the most."""
_NO_SUCH_VERSION: Final = "ResourceNotFoundException"


class SecretsManagerKeys:
    """Reads a secret whose versions each hold a key in Nix's format: the current one, and for a time the one before."""

    def __init__(
        self,
        secrets: SecretsManagerClient,
        secret_id: str,
        *,
        overlap: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read ``secret_id``, a name or ARN; ``monotonic`` tells seconds.

        The key before signs as long as the current one is younger than ``overlap``.
        """
        self._secrets = secrets
        self._secret_id = secret_id
        self._overlap = overlap
        self._now = now
        self._monotonic = monotonic
        self._kept: tuple[SecretKey, ...] = ()
        self._kept_until = float("-inf")

    def signing(self) -> tuple[SecretKey, ...]:
        """See :class:`lambdas.ingest.ports.SigningKeys`.

        When the keys cannot be read again, the kept ones are not used any longer: one of them may have leaked.
        """
        now = self._monotonic()
        if now >= self._kept_until:
            self._kept = self._read()
            self._kept_until = now + KEPT_SECONDS
        return self._kept

    def _read(self) -> tuple[SecretKey, ...]:
        with aws_call(f"GetSecretValue of {self._secret_id}"):
            # Always by stage: what comes without one is not everywhere the current version.
            answer = self._secrets.get_secret_value(SecretId=self._secret_id, VersionStage=CURRENT)
        try:
            current = SecretKey.parse(answer.get("SecretString", ""))
        except PermanentError as error:
            # The operator's fault: submissions wait in the queue until it is mended. Not chained, and not quoted.
            raise TransientError(
                f"The secret {self._secret_id} holds no secret key: {error.problem}",
                remedy="Put what `nix-store --generate-binary-cache-key` writes into it.",
            ) from None
        if self._overlap and self._now() - answer["CreatedDate"] < self._overlap:
            previous = self._previous()
            # Two signatures of one name are one too many: a client looks a key up by its name.
            if previous is not None and previous.name != current.name:
                return (current, previous)
        return (current,)

    def _previous(self) -> SecretKey | None:
        with aws_call(f"GetSecretValue of {self._secret_id}"):
            try:
                answer = self._secrets.get_secret_value(SecretId=self._secret_id, VersionStage=PREVIOUS)
            except ClientError as error:
                if error_code(error) == _NO_SUCH_VERSION:
                    return None  # the first key, or one after which an operator has retired the one before
                raise
        try:
            return SecretKey.parse(answer.get("SecretString", ""))
        except PermanentError:
            return None  # a mistake that was put right since: what could not sign then signs nothing now
