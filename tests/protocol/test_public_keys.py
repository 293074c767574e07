"""What the key function announces is what its readers read; nothing else is read as keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from nixcache.errors import TransientError
from nixcache.signature import PublicKey
from protocol.public_keys import AnnouncedKey, PublicKeys

FIRST = datetime(2026, 8, 1, 12, 30, tzinfo=UTC)
SECOND = datetime(2026, 11, 1, tzinfo=UTC)
OVERLAP = timedelta(days=90)


def _announced(number: int, until: datetime | None = None) -> AnnouncedKey:
    return AnnouncedKey(PublicKey(f"cache-{number}", bytes([number]) * 32), FIRST, until)


def test_what_is_written_is_read() -> None:
    public_keys = PublicKeys((_announced(3), _announced(2, SECOND + OVERLAP)), (_announced(1).public_key,))
    assert PublicKeys.from_json(public_keys.to_json()) == public_keys
    assert public_keys.lines().decode().splitlines() == [str(key.public_key) for key in public_keys.keys]


def test_a_document_from_before_there_was_a_past_is_read() -> None:
    document = json.loads(PublicKeys((_announced(1),)).to_json())
    del document["past"]
    assert PublicKeys.from_json(json.dumps(document).encode()) == PublicKeys((_announced(1),))


def test_no_key_is_ever_forgotten() -> None:
    """A reader may have it in a configuration for years; a name that came back would be another key to it."""
    public_keys = PublicKeys()
    for number in range(1, 6):
        public_keys = public_keys.follow((_announced(number), *public_keys.keys[:1]))
    assert [key.public_key.name for key in public_keys.keys] == ["cache-5", "cache-4"]
    assert {key.name for key in public_keys.past} == {"cache-1", "cache-2", "cache-3"}
    again = public_keys.follow((_announced(1), _announced(5)))
    assert {key.name for key in again.past} == {"cache-2", "cache-3", "cache-4"}
    assert again.follow(again.keys) == again


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b'{"version": 1}',
        b'{"version": 2, "keys": []}',
        b'{"version": 1, "keys": [null]}',
        b'{"version": 1, "keys": [{"publicKey": "cache-1:AAAA", "since": "2026-11-01T00:00:00Z"}]}',
        b'{"version": 1, "keys": {"publicKey": 1}}',
        b'{"version": 1, "keys": [], "past": [{"name": "cache-1"}]}',
        b"[]",
        b"[" * 100_000,
    ],
)
def test_anything_else_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(TransientError, match=r"public-keys\.json cannot be read"):
        PublicKeys.from_json(data)
