"""The signing key from outside: changed by whoever may write the secret, read by nobody."""

from __future__ import annotations

import uuid
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from assayctl.deployment import Deployment
from assayctl.errors import aws, invalid
from nixcache.errors import PermanentError
from nixcache.signing import SecretKey
from protocol.keys import PUBLIC_KEYS_JSON_KEY
from protocol.outputs import Output
from protocol.public_keys import MAX_PUBLIC_KEYS_SIZE, PublicKeys
from protocol.signing_secret import CURRENT, PENDING, PREVIOUS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

_IMPORTS: Final = uuid.UUID("6d0a4c52-6f0f-4f9b-8b8f-0a6a7c1f8f5e")
"""The namespace of the version ids of imported keys: a request that is repeated makes one version."""


def announced(deployment: Deployment) -> PublicKeys:
    """Return what readers were told last; raises :class:`TransientError`."""
    s3: S3Client = deployment.session.client("s3")
    bucket = deployment.output(Output.CACHE_BUCKET)
    with aws(f"s3://{bucket}/{PUBLIC_KEYS_JSON_KEY} cannot be read"):
        try:
            answer = s3.get_object(Bucket=bucket, Key=PUBLIC_KEYS_JSON_KEY)
        except ClientError as error:
            if error.response["Error"].get("Code") == "NoSuchKey":
                return PublicKeys()
            raise
        with closing(answer["Body"]) as body:
            return PublicKeys.from_json(body.read(MAX_PUBLIC_KEYS_SIZE))


class SigningSecret:
    """The secret of one deployment. All methods raise :class:`TransientError`."""

    def __init__(self, deployment: Deployment) -> None:
        self._secrets: SecretsManagerClient = deployment.session.client("secretsmanager")
        self._name = deployment.output(Output.SIGNING_SECRET_NAME)

    def import_key(self, text: str, public_keys: PublicKeys) -> str:
        """Sign with an existing key from now on; returns its public key.

        ``public_keys`` are those of this moment. Raises :class:`PermanentError` (``argument-invalid``), which does not
        quote ``text``, for what is no key, and for one that would take away from readers what they have told them.
        """
        try:
            key = SecretKey.parse(text.strip())
        except PermanentError as error:
            raise invalid(f"That is no secret key: {error.problem}", "Give what Nix wrote.") from None
        public_key = key.public_key
        if any(known.name == public_key.name and known != public_key for known in public_keys.known):
            raise invalid(
                f"Readers were told of another key that is named {public_key.name}, and know one by a name.",
                "Import a key with a name of its own.",
            )
        if public_key in (trusted.public_key for trusted in public_keys.keys[:1]):
            return str(public_key)
        for previous in public_keys.keys[1:]:
            # Back to the previous key is no loss: the two change places.
            if public_key != previous.public_key and previous.until and datetime.now(UTC) < previous.until:
                name = previous.public_key.name
                raise invalid(
                    f"Until {previous.until:%Y-%m-%d %H:%M} readers may trust {name} alone; another key would end it.",
                    f"Wait until then, or end it yourself: `assayctl retire-key {name}`.",
                )
        if public_key in public_keys.past:
            # It may have leaked, and a command from somebody's history must not have it sign again.
            raise invalid(
                f"{public_key.name} was this cache's key before, and was retired or rotated away.",
                "Import a key with a name of its own.",
            )
        # A version of its own each time that it follows another key: the overlap counts from its date.
        version = str(uuid.uuid5(_IMPORTS, f"{self.stages().get(CURRENT)} {public_key}"))
        with aws(f"The secret {self._name} cannot be written"):
            self._secrets.put_secret_value(SecretId=self._name, SecretString=text.strip(), ClientRequestToken=version)
        return str(public_key)

    def retire_previous(self) -> None:
        """Let nothing be signed with the previous key any more."""
        stages = self.stages()
        version = stages.get(PREVIOUS)
        # AWSPENDING, too, where it has stayed at what was current once: a rotation would end with that key.
        for stage in (PREVIOUS, PENDING):
            if version is not None and stages.get(stage) == version:
                with aws(f"The secret {self._name} cannot be changed"):
                    self._secrets.update_secret_version_stage(
                        SecretId=self._name, VersionStage=stage, RemoveFromVersionId=version
                    )

    def stages(self) -> dict[str, str]:
        """Return each version stage with the id of its version."""
        with aws(f"The secret {self._name} cannot be described"):
            versions = self._secrets.describe_secret(SecretId=self._name).get("VersionIdsToStages", {})
        return {stage: version for version, stages in versions.items() for stage in stages}
