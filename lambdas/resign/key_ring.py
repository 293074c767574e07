"""Which key signs, and whose signatures are as good as its own."""

from __future__ import annotations

from dataclasses import dataclass

from lambdas.keys.secret import SigningSecret
from lambdas.resign.request import Request, RequestCode
from nixcache.errors import PermanentError, TransientError
from nixcache.signature import PublicKey
from nixcache.signing import SecretKey
from protocol.signing_secret import CURRENT, PREVIOUS


@dataclass(frozen=True, slots=True)
class KeyRing:
    """``current`` signs; ``trusted`` has its public key, and that of the key before as long as the secret has it."""

    current: SecretKey
    trusted: tuple[PublicKey, ...]

    @classmethod
    def read(cls, secret: SigningSecret) -> KeyRing:
        """Read the versions of ``secret``; raises :class:`TransientError`.

        The key before is trusted past the overlap, too: until somebody retires it, nobody has said anything against it.
        """
        current = secret.in_stage(CURRENT)
        if current is None:
            raise TransientError("The signing secret holds no key.", remedy="It is tried again.")
        trusted = [current.key.public_key]
        previous = secret.in_stage(PREVIOUS)
        if previous is not None and previous.key.name != current.key.name:
            trusted.append(previous.key.public_key)
        return cls(current.key, tuple(trusted))

    def check(self, request: Request) -> None:
        """Raise :class:`PermanentError` (``key-still-signs``) where ``request`` revokes a key that is in use."""
        in_use = request.revoked.intersection(key.name for key in self.trusted)
        if in_use:
            # Ingest would go on to sign with it, and no end of re-signing would ever be reached.
            raise PermanentError(
                RequestCode.KEY_STILL_SIGNS,
                f"{min(in_use)} still signs.",
                remedy="Rotate the key and retire the one before, then wait five minutes.",
            )
