"""``public-keys`` and ``public-keys.json`` in the cache: the keys that readers are to trust.

The document also remembers the keys before those, so that no name is given to another key: a reader knows one key by
a name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from nixcache.errors import PermanentError, TransientError
from nixcache.signature import PublicKey
from protocol.keys import PUBLIC_KEYS_JSON_KEY

VERSION: Final = 1
MAX_PUBLIC_KEYS_SIZE: Final = 1024**2
"""Bytes: thousands of keys, and a cache has one more each time that it rotates."""


@dataclass(frozen=True, slots=True)
class AnnouncedKey:
    """A key and since when it signs; ``until`` when, if another has followed it."""

    public_key: PublicKey
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The present key, first, and the one before; and ``past``, all that readers were once told to trust."""

    keys: tuple[AnnouncedKey, ...] = ()
    past: tuple[PublicKey, ...] = ()

    @property
    def known(self) -> tuple[PublicKey, ...]:
        """All keys that anybody may have in a configuration."""
        return (*(key.public_key for key in self.keys), *self.past)

    def follow(self, keys: tuple[AnnouncedKey, ...]) -> PublicKeys:
        """Return ``keys`` as those to be trusted now; of what was known before, the rest is past."""
        trusted = {key.public_key for key in keys}
        return PublicKeys(keys, tuple(dict.fromkeys(key for key in self.known if key not in trusted)))

    def lines(self) -> bytes:
        """Return what nix.conf's ``trusted-public-keys`` takes, a key a line."""
        return "".join(f"{key.public_key}\n" for key in self.keys).encode()

    def to_json(self) -> bytes:
        """Return the document."""
        document = {
            "version": VERSION,
            "keys": [
                {
                    "name": key.public_key.name,
                    "publicKey": str(key.public_key),
                    "since": _time(key.since),
                    "until": None if key.until is None else _time(key.until),
                }
                for key in self.keys
            ],
            "past": [{"name": key.name, "publicKey": str(key)} for key in self.past],
        }
        return json.dumps(document, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> PublicKeys:
        """Read the document; raises :class:`TransientError`: it is ours, so whoever broke it has to mend it."""
        try:
            document = json.loads(data)
            if document["version"] != VERSION:
                raise ValueError(document["version"])  # noqa: TRY301  one message for all that is wrong with it
            # No `past`: written before there was one.
            past = tuple(PublicKey.parse(key["publicKey"]) for key in document.get("past", ()))
            return cls(tuple(map(_key, document["keys"])), past)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, PermanentError) as error:
            raise TransientError(
                f"{PUBLIC_KEYS_JSON_KEY} cannot be read: {error!r}",
                remedy="Restore the version before: docs/runbooks/restore.md.",
            ) from error


def _key(document: dict[str, Any]) -> AnnouncedKey:
    until = document["until"]
    return AnnouncedKey(
        PublicKey.parse(document["publicKey"]),
        datetime.fromisoformat(document["since"]),
        None if until is None else datetime.fromisoformat(until),
    )


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
