"""The signing secret as the key function sees it: its versions, by stage or by id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import aws_call, error_code
from nixcache.errors import PermanentError, TransientError
from nixcache.signing import SecretKey
from protocol.signing_secret import CURRENT, PENDING

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_ABSENT: Final = "ResourceNotFoundException"
_TAKEN: Final = "ResourceExistsException"


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """A version that holds a key, and when it was made."""

    version_id: str
    key: SecretKey
    made_at: datetime


class SigningSecret:
    """One secret. All methods raise :class:`TransientError`, which never quotes what is in it."""

    def __init__(self, secrets: SecretsManagerClient, secret_id: str) -> None:
        """Work on ``secret_id``, a name or ARN, through ``secrets``."""
        self._secrets = secrets
        self._secret_id = secret_id

    def in_stage(self, stage: str) -> KeyVersion | None:
        """Return the version with ``stage``; None if there is none, or if it holds no key."""
        return self._read(VersionStage=stage)

    def is_empty(self) -> bool:
        """Tell whether nobody has ever put anything in."""
        with aws_call(f"GetSecretValue of {self._secret_id}"):
            try:
                answer = self._secrets.get_secret_value(SecretId=self._secret_id, VersionStage=CURRENT)
            except ClientError as error:
                if error_code(error) == _ABSENT:
                    return True
                raise
        return not answer.get("SecretString") and not answer.get("SecretBinary")

    def pending(self, version_id: str) -> KeyVersion | None:
        """Return the version that is being made under ``version_id``, None before it holds a key."""
        return self._read(VersionId=version_id, VersionStage=PENDING)

    def stages(self) -> dict[str, list[str]]:
        """Return the stages of each version."""
        with aws_call(f"DescribeSecret of {self._secret_id}"):
            return self._secrets.describe_secret(SecretId=self._secret_id).get("VersionIdsToStages", {})

    def last_changed(self) -> datetime | None:
        """Return when anything of the secret was changed last, its stages included; None if that was never."""
        with aws_call(f"DescribeSecret of {self._secret_id}"):
            return self._secrets.describe_secret(SecretId=self._secret_id).get("LastChangedDate")

    def put(self, key: SecretKey, *, version_id: str, stage: str) -> bool:
        """Write ``key`` as ``version_id``, once: False if that version holds another already."""
        with aws_call(f"PutSecretValue of {self._secret_id}"):
            try:
                self._secrets.put_secret_value(
                    SecretId=self._secret_id,
                    ClientRequestToken=version_id,
                    SecretString=key.reveal(),
                    VersionStages=[stage],
                )
            except ClientError as error:
                if error_code(error) == _TAKEN:
                    return False
                raise
        return True

    def has_value(self, version_id: str) -> bool:
        """Tell whether anything was ever written as ``version_id``; Secrets Manager makes versions that are empty."""
        with aws_call(f"GetSecretValue of {self._secret_id}"):
            try:
                self._secrets.get_secret_value(SecretId=self._secret_id, VersionId=version_id)
            except ClientError as error:
                if error_code(error) == _ABSENT:
                    return False
                raise
        return True

    def make_current(self, version_id: str, *, instead_of: str | None) -> None:
        """Move the stage AWSCURRENT to ``version_id``; fails if ``instead_of`` does not have it any more.

        Secrets Manager gives AWSPREVIOUS to the version that loses it.
        """
        with aws_call(f"UpdateSecretVersionStage of {self._secret_id}"):
            if instead_of is None:
                self._secrets.update_secret_version_stage(
                    SecretId=self._secret_id, VersionStage=CURRENT, MoveToVersionId=version_id
                )
            else:
                self._secrets.update_secret_version_stage(
                    SecretId=self._secret_id,
                    VersionStage=CURRENT,
                    MoveToVersionId=version_id,
                    RemoveFromVersionId=instead_of,
                )

    def drop_pending(self, version_id: str) -> None:
        """Take the stage AWSPENDING from ``version_id``."""
        with aws_call(f"UpdateSecretVersionStage of {self._secret_id}"):
            self._secrets.update_secret_version_stage(
                SecretId=self._secret_id, VersionStage=PENDING, RemoveFromVersionId=version_id
            )

    def _read(self, **which: str) -> KeyVersion | None:
        with aws_call(f"GetSecretValue of {self._secret_id}"):
            try:
                answer = self._secrets.get_secret_value(SecretId=self._secret_id, **which)
            except ClientError as error:
                if error_code(error) == _ABSENT:
                    return None
                raise
        try:
            key = SecretKey.parse(answer.get("SecretString", ""))
        except PermanentError:
            return None
        if not key.is_sound():
            raise TransientError(f"{key!r} in {self._secret_id} signs what its public key does not confirm.")
        return KeyVersion(answer["VersionId"], key, answer["CreatedDate"])
