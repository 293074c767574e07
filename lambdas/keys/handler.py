"""What Secrets Manager, EventBridge and an operator call: a step of a rotation, a whole one, or an announcement."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

import botocore.session
from botocore.config import Config

from lambdas.context import Context
from lambdas.emf import EventLog
from lambdas.keys.announcement import announce
from lambdas.keys.rotation import Rotation, Step
from lambdas.keys.secret import SigningSecret
from nixcache.errors import PermanentError
from protocol.settings import KeySettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

SERVICE: Final = "keys"
_CONFIG: Final = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=10)


class KeyCode(StrEnum):
    """What can be wrong with an event."""

    EVENT_MALFORMED = "event-malformed"


@dataclass(frozen=True, slots=True)
class Clients:
    """The AWS that keys are made and announced with."""

    s3: S3Client
    secrets: SecretsManagerClient

    @classmethod
    def connect(cls) -> Clients:
        """Return clients as the environment says; sends nothing yet."""
        session = botocore.session.get_session()
        s3 = session.create_client("s3", config=_CONFIG.merge(Config(signature_version="s3v4")))
        return cls(
            s3=cast("S3Client", s3),
            secrets=cast("SecretsManagerClient", session.create_client("secretsmanager", config=_CONFIG)),
        )


def handle(event: Mapping[str, object], settings: KeySettings, clients: Clients, log: EventLog) -> tuple[str, ...]:
    """Do what ``event`` asks for, and announce the keys; returns their names.

    Raises :class:`TransientError`, and :class:`PermanentError` for an event that is none of ours.
    """
    secret = SigningSecret(clients.secrets, settings.signing_secret_id)
    rotation = Rotation(secret, settings.key_name)
    match event:
        case {"Step": str(step), "ClientRequestToken": str(version_id)}:
            rotation.take(_step(step), version_id)
        case {"rotate": str(version_id)}:
            rotation.rotate(version_id)
        case _:
            # EventBridge's: a deployment is done, or a day is over.
            rotation.ensure_first()
            rotation.forget_what_is_over()
    names = announce(clients.s3, settings.cache_bucket, secret, timedelta(days=settings.key_overlap_days))
    log.write("keys announced", {"keys": list(names)})
    return names


def handler(event: Mapping[str, object], _: Context) -> dict[str, list[str]]:
    """See :func:`handle`; whatever fails is an invocation error, which its caller repeats."""
    settings = KeySettings.from_environment(os.environ)
    log = EventLog(service=SERVICE, stage=settings.stage)
    return {"keys": list(handle(event, settings, Clients.connect(), log))}


def _step(text: str) -> Step:
    try:
        return Step(text)
    except ValueError:
        raise PermanentError(
            KeyCode.EVENT_MALFORMED, f"{text[:40]!r} is no step of a rotation.", remedy="Secrets Manager asks for four."
        ) from None
