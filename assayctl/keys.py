"""The signing key from outside: changed by whoever may write the secret, read by nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assayctl.errors import aws, invalid
from nixcache.errors import PermanentError
from nixcache.signing import SecretKey

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_CURRENT: Final = "AWSCURRENT"
_PREVIOUS: Final = "AWSPREVIOUS"


class SigningSecret:
    """The secret of one deployment. All methods raise :class:`TransientError`."""

    def __init__(self, secrets: SecretsManagerClient, name: str) -> None:
        self._secrets = secrets
        self._name = name

    def import_key(self, text: str) -> str:
        """Sign with an existing key from now on; returns its public key. Raises :class:`PermanentError`, unquoted."""
        try:
            key = SecretKey.parse(text.strip())
        except PermanentError as error:
            raise invalid(f"That is no secret key: {error.problem}", "Give what Nix wrote.") from None
        with aws(f"The secret {self._name} cannot be written"):
            self._secrets.put_secret_value(SecretId=self._name, SecretString=text.strip())
        return str(key.public_key)

    def retire_previous(self) -> bool:
        """Let nothing be signed with the previous key any more; whether there was one."""
        with aws(f"The secret {self._name} cannot be changed"):
            version = self._version(_PREVIOUS)
            if version is None:
                return False
            self._secrets.update_secret_version_stage(
                SecretId=self._name, VersionStage=_PREVIOUS, RemoveFromVersionId=version
            )
        return True

    def stages(self) -> dict[str, str]:
        """Return each version stage with the id of its version."""
        with aws(f"The secret {self._name} cannot be described"):
            versions = self._secrets.describe_secret(SecretId=self._name).get("VersionIdsToStages", {})
        return {stage: version for version, stages in versions.items() for stage in stages}

    def _version(self, stage: str) -> str | None:
        return self.stages().get(stage)
