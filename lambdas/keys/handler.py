"""What Secrets Manager, EventBridge and an operator call: a step of a rotation, a whole one, or an announcement."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

import botocore.session
from botocore.config import Config

from lambdas.context import Context
from lambdas.emf import EventLog
from lambdas.keys.announcement import Announcements
from lambdas.keys.rotation import KeyCode, Rotation, Step
from lambdas.keys.secret import SigningSecret
from nixcache.errors import PermanentError
from protocol.settings import KeySettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

SERVICE: Final = "keys"
_VERSION_ID_LENGTHS: Final = (32, 64)
_CONFIG: Final = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=10)


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


def handle(
    event: Mapping[str, object], settings: KeySettings, clients: Clients, log: EventLog, now: datetime
) -> tuple[str, ...]:
    """Do what ``event`` asks for, and announce the keys; returns their names.

    Raises :class:`TransientError`, and :class:`PermanentError` for an event that is none of ours, or for a rotation
    that would break a promise (``overlap-not-over``).
    """
    secret = SigningSecret(clients.secrets, settings.signing_secret_id)
    overlap = timedelta(days=settings.key_overlap_days)
    announcements = Announcements(clients.s3, settings.cache_bucket)
    known = [key.name for key in announcements.last().public_keys.known]
    rotation = Rotation(secret, settings.key_name, overlap=overlap, known=known, now=now)
    match event:
        case {"Step": str(step), "ClientRequestToken": str(version_id)}:
            rotation.take(_step(step), version_id)
        case {"rotate": str(version_id)}:
            rotation.rotate(_version_id(version_id))
        case {"rotate": _} | {"Rotate": _} | {"Step": _}:
            # Written by hand, as the runbooks have it: whoever goes on as if it had rotated retires the wrong key.
            raise PermanentError(
                KeyCode.EVENT_MALFORMED,
                "That asks for a rotation in a way that nobody understands.",
                remedy='Send {"rotate": "a UUID"}, or no event at all to announce the keys.',
            )
        case _:
            # EventBridge's: a deployment is done, or a day is over.
            rotation.ensure_first()
            rotation.forget_what_is_over()
    names = announcements.announce(secret, overlap)
    log.write("keys announced", {"keys": list(names)})
    return names


def handler(event: Mapping[str, object], _: Context) -> dict[str, list[str]]:
    """See :func:`handle`; whatever fails is an invocation error, which its caller repeats."""
    settings = KeySettings.from_environment(os.environ)
    log = EventLog(service=SERVICE, stage=settings.stage)
    return {"keys": list(handle(event, settings, Clients.connect(), log, datetime.now(UTC)))}


def _version_id(text: str) -> str:
    if not _VERSION_ID_LENGTHS[0] <= len(text) <= _VERSION_ID_LENGTHS[1]:
        raise PermanentError(
            KeyCode.EVENT_MALFORMED,
            f"{text[:80]!r} is no version's id.",
            remedy="Give a UUID: Secrets Manager takes 32 to 64 characters.",
            field="rotate",
        )
    return text


def _step(text: str) -> Step:
    try:
        return Step(text)
    except ValueError:
        raise PermanentError(
            KeyCode.EVENT_MALFORMED, f"{text[:40]!r} is no step of a rotation.", remedy="Secrets Manager asks for four."
        ) from None
