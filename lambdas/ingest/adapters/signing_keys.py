"""The secret key, kept for a few minutes and then read again, so that a rotation arrives (docs/adr/0023)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lambdas.ingest.adapters.aws_call import aws_call
from nixcache.errors import PermanentError, TransientError
from nixcache.signing import SecretKey

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

KEPT_SECONDS: Final = 300.0
"""After a rotation, a container signs with the old key for this long at the most."""


class SecretsManagerKeys:
    """Reads the current version of a secret that holds a key in Nix's format."""

    def __init__(
        self, secrets: SecretsManagerClient, secret_id: str, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Read ``secret_id``, a name or ARN; ``monotonic`` tells seconds."""
        self._secrets = secrets
        self._secret_id = secret_id
        self._monotonic = monotonic
        self._kept: SecretKey | None = None
        self._kept_until = 0.0

    def current(self) -> SecretKey:
        """See :class:`lambdas.ingest.ports.SigningKeys`.

        When the key cannot be read again, the kept one is not used any longer: it may be the one that leaked.
        """
        now = self._monotonic()
        if self._kept is None or now >= self._kept_until:
            self._kept = self._read()
            self._kept_until = now + KEPT_SECONDS
        return self._kept

    def _read(self) -> SecretKey:
        with aws_call(f"GetSecretValue of {self._secret_id}"):
            # Always by stage: what comes without one is not everywhere the current version.
            answer = self._secrets.get_secret_value(SecretId=self._secret_id, VersionStage="AWSCURRENT")
        try:
            return SecretKey.parse(answer.get("SecretString", ""))
        except PermanentError as error:
            # The operator's fault: submissions wait in the queue until it is mended. Not chained, and not quoted.
            raise TransientError(
                f"The secret {self._secret_id} holds no secret key: {error.problem}",
                remedy="Put what `nix-store --generate-binary-cache-key` writes into it.",
            ) from None
