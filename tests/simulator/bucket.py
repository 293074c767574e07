"""One bucket's contents: every version of every key, and what is current."""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

NULL_VERSION: Final = "null"
"""The version id of what a bucket without versioning holds."""


def etag(data: bytes) -> str:
    """Return the ETag of an object that was put at once, in its quotes."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of an object; ``headers`` by their parameter names, such as ContentType."""

    key: str
    version_id: str
    modified: datetime
    data: bytes
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeleteMarker:
    """What deleting a key leaves on top of its versions."""

    key: str
    version_id: str
    modified: datetime


Entry: TypeAlias = ObjectVersion | DeleteMarker


class Bucket:
    """Keys in the order in which S3 lists them: that of their UTF-8, which is the one of Python's strings."""

    def __init__(self, name: str, state: threading.RLock, *, versioned: bool) -> None:
        """Make an empty one; ``state`` keeps others from changing it while it is read."""
        self.name = name
        self.versioned = versioned
        self._state = state
        self._entries: dict[str, list[Entry]] = {}  # of each key the oldest first
        self._keys: list[str] = []

    # What a test looks at. No request is counted, and no hook called.

    def read(self, key: str) -> bytes | None:
        """Return the bytes of the current version, if there is one."""
        with self._state:
            version = self.current(key)
        return None if version is None else version.data

    def keys(self, prefix: str = "") -> list[str]:
        """Return all keys under ``prefix`` that have a current version."""
        with self._state:
            return [version.key for version in self.listed(prefix)]

    # What S3 is made of.

    def current(self, key: str) -> ObjectVersion | None:
        """Return what readers of ``key`` get."""
        entry = self.top(key)
        return entry if isinstance(entry, ObjectVersion) else None

    def top(self, key: str) -> Entry | None:
        """Return the newest version or delete marker of ``key``."""
        entries = self._entries.get(key)
        return entries[-1] if entries else None

    def entry(self, key: str, version_id: str) -> Entry | None:
        """Return the version or delete marker of that id."""
        return next((entry for entry in self._entries.get(key, ()) if entry.version_id == version_id), None)

    def add(self, entry: Entry) -> None:
        """Put ``entry`` on top of its key; without versioning, in the place of what was there."""
        entries = self._entries.get(entry.key)
        if entries is None:
            entries = self._entries[entry.key] = []
            insort(self._keys, entry.key)
        if not self.versioned:
            entries.clear()
        entries.append(entry)

    def remove(self, key: str, version_id: str) -> Entry | None:
        """Take a version or delete marker away for good; return it if it was there."""
        removed = self.entry(key, version_id)
        if removed is not None:
            entries = self._entries[key]
            entries.remove(removed)
            if not entries:
                del self._entries[key]
                del self._keys[bisect_left(self._keys, key)]
        return removed

    def listed(self, prefix: str, after: str = "") -> Iterator[ObjectVersion]:
        """Yield current versions in the order of their keys, which begin with ``prefix`` and come after ``after``."""
        for key in self._keys_under(prefix, after):
            entry = self._entries[key][-1]
            if isinstance(entry, ObjectVersion):
                yield entry

    def all_entries(self, prefix: str) -> Iterator[Entry]:
        """Yield versions and delete markers: by key, and of each key the newest first."""
        for key in self._keys_under(prefix, ""):
            yield from reversed(self._entries[key])

    def is_top(self, entry: Entry) -> bool:
        """Tell whether ``entry`` is what S3 calls the latest."""
        return self._entries[entry.key][-1] is entry

    def _keys_under(self, prefix: str, after: str) -> Iterator[str]:
        start = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        for position in range(start, len(self._keys)):
            key = self._keys[position]
            if not key.startswith(prefix):
                return
            yield key
