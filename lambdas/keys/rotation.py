"""A new key, made where nobody sees it, in the four steps that Secrets Manager calls one by one.

Each step may come twice, or again after a crash in any other; none depends on what an invocation remembers.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Final

from lambdas.keys.secret import SigningSecret
from nixcache.errors import TransientError
from nixcache.signing import SecretKey
from protocol.signing_secret import CURRENT, PENDING, PREVIOUS, next_key_name

_FIRST: Final = uuid.UUID("b5e7f9a0-52a3-4a57-8f0e-0c5b5a3c8a11")
"""Of every secret's first version: two functions that find none make one key, not two."""


class Step(StrEnum):
    """What Secrets Manager asks for."""

    CREATE = "createSecret"
    SET = "setSecret"
    TEST = "testSecret"
    FINISH = "finishSecret"


class Rotation:
    """Makes keys named ``<key_name>-<n>`` in ``secret``."""

    def __init__(self, secret: SigningSecret, key_name: str) -> None:
        self._secret = secret
        self._key_name = key_name

    def take(self, step: Step, version_id: str) -> None:
        """Do one step for the version that is to become current; raises :class:`TransientError`."""
        stages = self._secret.stages().get(version_id)
        if stages is None or not {CURRENT, PENDING}.intersection(stages):
            raise TransientError(
                f"The version {version_id} is not being made.", remedy="Secrets Manager begins a rotation, nobody else."
            )
        if CURRENT in stages:
            return  # done before
        self._do(step, version_id)

    def rotate(self, version_id: str) -> None:
        """Do all steps at once, for an operator; the same ``version_id`` again does nothing more."""
        if CURRENT not in self._secret.stages().get(version_id, ()):
            for step in Step:
                self._do(step, version_id)

    def ensure_first(self) -> None:
        """Make the first key of a secret that has none: that of a new deployment."""
        # A secret that somebody filled with something else is left alone.
        if self._secret.is_empty():
            self._secret.put(self._new(None), version_id=str(_FIRST), stage=CURRENT)

    def forget_what_is_over(self) -> None:
        """Let no version be pending that has been current already, as one is after a rotation and then an import.

        Secrets Manager would take it for a rotation under way: begin none, or end that one, with a key that is past.
        """
        for version_id, stages in self._secret.stages().items():
            if PENDING in stages and PREVIOUS in stages:
                self._secret.drop_pending(version_id)

    def _do(self, step: Step, version_id: str) -> None:
        match step:
            case Step.CREATE:
                self._create(version_id)
            case Step.SET:
                pass  # no other system has to learn of it
            case Step.TEST:
                # Of a secret that is empty still, Secrets Manager tries out an empty version when a schedule is set.
                if self._secret.pending(version_id) is None and self._secret.has_value(version_id):
                    raise TransientError(f"The version {version_id} holds no key.", remedy="Rotate again.")
            case Step.FINISH:
                self._finish(version_id)

    def _create(self, version_id: str) -> None:
        if self._secret.pending(version_id) is not None:
            return
        current = self._secret.in_stage(CURRENT)
        self._secret.put(self._new(current.key.name if current else None), version_id=version_id, stage=PENDING)

    def _finish(self, version_id: str) -> None:
        before = next((version for version, stages in self._secret.stages().items() if CURRENT in stages), None)
        current = self._secret.in_stage(CURRENT)
        made = self._secret.pending(version_id)
        # Of two rotations at once, the later has taken AWSPENDING; after an import, what was made does not follow the
        # present key. To end either would lose the key before, and every reader who trusts that alone.
        if made is None or made.key.name != next_key_name(self._key_name, current.key.name if current else None):
            raise TransientError(f"Another key came before the version {version_id}.", remedy="Rotate again.")
        self._secret.make_current(version_id, instead_of=before)

    def _new(self, current: str | None) -> SecretKey:
        return SecretKey.generate(next_key_name(self._key_name, current))
