"""A new key, made where nobody sees it, in the four steps that Secrets Manager calls one by one.

Each step may come twice, or again after a crash in any other; none depends on what an invocation remembers.
https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from lambdas.keys.secret import KeyVersion, SigningSecret
from nixcache.errors import PermanentError, TransientError
from nixcache.signing import SecretKey
from protocol.signing_secret import CURRENT, PENDING, PREVIOUS, next_key_name

_FIRST: Final = uuid.UUID("b5e7f9a0-52a3-4a57-8f0e-0c5b5a3c8a11")
"""Of every secret's first version: two functions that find none make one key, not two."""


_UNFINISHED: Final = timedelta(days=1)
"""A rotation takes seconds, and Secrets Manager tries one again for hours. A key that was left lying for longer is
dropped: nobody knows what has become of it meanwhile."""


class KeyCode(StrEnum):
    """Why no new key is made, or what is wrong with an event."""

    EVENT_MALFORMED = "event-malformed"
    OVERLAP_NOT_OVER = "overlap-not-over"


class Step(StrEnum):
    """What Secrets Manager asks for."""

    CREATE = "createSecret"
    SET = "setSecret"
    TEST = "testSecret"
    FINISH = "finishSecret"


class Rotation:
    """Makes keys named ``<key_name>-<n>`` in ``secret``."""

    def __init__(
        self, secret: SigningSecret, key_name: str, *, overlap: timedelta, known: Iterable[str], now: datetime
    ) -> None:
        """Give no name twice: ``known`` are those that readers were ever told, whatever has become of the secret.

        ``overlap`` is for how long the key before the present one is promised to sign.
        """
        self._secret = secret
        self._key_name = key_name
        self._overlap = overlap
        self._known = tuple(known)
        self._now = now

    def take(self, step: Step, version_id: str) -> None:
        """Do one step for the version that is to become current.

        Raises :class:`TransientError`, and :class:`PermanentError` (``overlap-not-over``).
        """
        stages = self._secret.stages().get(version_id)
        if stages is None or not {CURRENT, PENDING}.intersection(stages):
            raise TransientError(
                f"The version {version_id} is not being made.", remedy="Secrets Manager begins a rotation, nobody else."
            )
        if CURRENT in stages:
            return  # done before
        try:
            self._do(step, version_id)
        except PermanentError:
            # Else Secrets Manager would take it for a rotation under way, and begin none when it is time.
            self._secret.drop_pending(version_id)
            raise

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
        """Let no version be pending that has been current already, or was left unfinished.

        One has been current after a rotation and then an import. Secrets Manager would take either for a rotation under
        way: begin none, or end that one, with a key that is past.
        """
        for version_id, stages in self._secret.stages().items():
            if PENDING in stages and CURRENT not in stages and (PREVIOUS in stages or self._is_left(version_id)):
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
        self._keep_promises(current)
        self._secret.put(self._new(current), version_id=version_id, stage=PENDING)

    def _keep_promises(self, current: KeyVersion | None) -> None:
        """Refuse to push out a key that readers were told to trust: the secret has room for one before the present."""
        previous = self._secret.in_stage(PREVIOUS)
        if current is None or previous is None or previous.key.name == current.key.name:
            return
        until = current.made_at + self._overlap
        if self._now < until:
            raise PermanentError(
                KeyCode.OVERLAP_NOT_OVER,
                f"Until {until:%Y-%m-%d %H:%M} readers may trust {previous.key.name} alone; a new key would end it.",
                remedy=f"Wait until then, or end it yourself: `assayctl retire-key {previous.key.name}`.",
            )

    def _is_left(self, version_id: str) -> bool:
        """Tell whether nobody will end that rotation; Secrets Manager begins one with a version without a value."""
        if self._secret.pending(version_id) is not None:
            return self._is_stale(version_id)
        changed = self._secret.last_changed()
        return changed is not None and self._now - changed > _UNFINISHED

    def _is_stale(self, version_id: str) -> bool:
        pending = self._secret.pending(version_id)
        return pending is not None and self._now - pending.made_at > _UNFINISHED

    def _finish(self, version_id: str) -> None:
        before = next((version for version, stages in self._secret.stages().items() if CURRENT in stages), None)
        current = self._secret.in_stage(CURRENT)
        made = self._secret.pending(version_id)
        # Of two rotations at once, the later has taken AWSPENDING; an import is younger than what was being made. To
        # end either would lose the key before, and every reader who trusts that alone.
        if (
            made is None
            or made.key.name != self._next_name(current)
            or (current is not None and made.made_at < current.made_at)
        ):
            raise TransientError(f"Another key came before the version {version_id}.", remedy="Rotate again.")
        if self._is_stale(version_id):
            raise TransientError(
                f"The version {version_id} was made on {made.made_at:%Y-%m-%d}.", remedy="Rotate again."
            )
        self._keep_promises(current)
        self._secret.make_current(version_id, instead_of=before)

    def _new(self, current: KeyVersion | None) -> SecretKey:
        return SecretKey.generate(self._next_name(current))

    def _next_name(self, current: KeyVersion | None) -> str:
        return next_key_name(self._key_name, (*self._known, *([current.key.name] if current else [])))
