"""Secrets Manager: the current version of a secret, and the one before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from tests.simulator.errors import RefusedError
from tests.simulator.requests import Answer

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.type_defs import GetSecretValueRequestTypeDef

_MADE_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Secrets:
    """All secrets, by name."""

    def __init__(self) -> None:
        """Start without one."""
        self._versions: dict[str, list[str]] = {}

    def put(self, name: str, text: str) -> None:
        """Create a secret, or rotate it: what was current becomes AWSPREVIOUS."""
        self._versions.setdefault(name, []).append(text)

    def get_secret_value(self, request: GetSecretValueRequestTypeDef) -> Answer:
        name, stage = request["SecretId"], request.get("VersionStage", "AWSCURRENT")
        versions = self._versions.get(name, [])
        position = {"AWSCURRENT": 1, "AWSPREVIOUS": 2}.get(stage, len(versions) + 1)
        if position > len(versions):
            raise RefusedError("ResourceNotFoundException", f"Secrets Manager can't find {name} in stage {stage}.")
        return {
            "Name": name,
            "ARN": f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf",
            "VersionId": str(len(versions) - position),
            "VersionStages": [stage],
            "CreatedDate": _MADE_AT,
            "SecretString": versions[-position],
        }
