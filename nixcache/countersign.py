"""The second way to a signature: a key vouches for what one that is trusted as much has signed already (docs/adr/0065).

The bytes are not read again. So it must never be a key that others may hold: whoever has that one would get a signature
by the new one for anything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NoReturn, final

from nixcache.narinfo import NarInfo
from nixcache.signature import PublicKey

_SEAL: Final = object()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Countersignable:
    """What a fingerprint covers, of a store object for which a trusted key's signature holds (invariant I1).

    Only :func:`countersignable` holds the seal without which none is made, ``dataclasses.replace`` included.
    """

    seal: object
    message: bytes

    def __post_init__(self) -> None:
        """Refuse to exist without the seal, and let go of it."""
        if self.seal is not _SEAL:
            message = "Only nixcache.countersign.countersignable makes a Countersignable."
            raise TypeError(message)
        object.__setattr__(self, "seal", None)

    def __setstate__(self, _state: object) -> NoReturn:
        """Refuse copies: ``copy`` and ``pickle`` would make one without asking for the seal."""
        message = "A Countersignable cannot be copied: check the signature again."
        raise TypeError(message)


def countersignable(narinfo: NarInfo, trusted: Collection[PublicKey]) -> Countersignable | None:
    """Return what may be signed because one of ``trusted`` has; None if no signature of ``narinfo`` holds under them.

    ``trusted`` are the caller's own keys that nobody else holds.
    """
    if not narinfo.signatures_by(trusted):
        return None
    return Countersignable(seal=_SEAL, message=narinfo.fingerprint())
