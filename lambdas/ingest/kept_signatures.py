"""Which of a builder's signatures are kept: those that trusted upstreams have made, as their keys prove."""

from __future__ import annotations

from collections.abc import Collection

from nixcache.narinfo import NarInfo
from nixcache.signature import PublicKey, Signature


def kept_signatures(narinfo: NarInfo, upstream_keys: Collection[PublicKey]) -> tuple[Signature, ...]:
    """Return those of ``narinfo``'s signatures that hold over its own fingerprint under ``upstream_keys``, one a name.

    All others are somebody's claim (I5); and one that clients trust by its name, but cannot read, makes them refuse the
    path. Whoever trusts the upstream can then take the path from here, too.
    """
    kept: dict[str, Signature] = {}
    for signature in narinfo.signatures_by(upstream_keys):
        kept.setdefault(signature.key_name, signature)
    return tuple(kept.values())
