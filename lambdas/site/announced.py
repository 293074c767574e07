"""``public-keys.json``: the keys that readers are to trust, as the key function announces them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from nixcache.errors import PermanentError, TransientError
from nixcache.signature import PublicKey
from protocol.keys import PUBLIC_KEYS_JSON_KEY

VERSION: Final = 1
MAX_PUBLIC_KEYS_SIZE: Final = 65_536
"""Bytes: hundreds of keys, of which there are two."""


@dataclass(frozen=True, slots=True)
class AnnouncedKey:
    """A key and since when it signs; ``until`` when, if another has followed it."""

    public_key: PublicKey
    since: datetime
    until: datetime | None


def read_public_keys(data: bytes) -> tuple[AnnouncedKey, ...]:
    """Read the document; raises :class:`TransientError`: it is ours, so whoever broke it has to mend it."""
    try:
        return tuple(map(_key, _keys_of(json.loads(data))))
    except (ValueError, KeyError, TypeError, RecursionError, PermanentError) as error:
        raise TransientError(
            f"{PUBLIC_KEYS_JSON_KEY} cannot be read: {error!r}", remedy="Announce the keys."
        ) from error


def _keys_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    if document["version"] != VERSION:
        raise ValueError(document["version"])
    keys: list[dict[str, Any]] = document["keys"]
    return keys


def _key(document: dict[str, Any]) -> AnnouncedKey:
    until = document["until"]
    return AnnouncedKey(
        PublicKey.parse(document["publicKey"]),
        datetime.fromisoformat(document["since"]),
        None if until is None else datetime.fromisoformat(until),
    )
