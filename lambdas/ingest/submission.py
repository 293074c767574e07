"""A submission: one version of one unsigned narinfo in the staging bucket."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from nixcache.store_path import HashPart
from protocol.keys import BuilderName, StagingNarInfoKey


@dataclass(frozen=True, slots=True)
class Submission:
    """What ingest is asked to judge: the narinfo at ``key`` in its version ``version_id``.

    ``version_id`` is None as long as nobody knows it: then the current version is meant, and the first read pins it.
    ``is_woken`` tells that it was judged before, and had to wait.
    """

    key: StagingNarInfoKey
    version_id: str | None = None
    is_woken: bool = False

    @property
    def builder(self) -> BuilderName:
        """Who submitted it."""
        return self.key.builder

    @property
    def hash_part(self) -> HashPart:
        """Which store path it is about, if it tells the truth."""
        return self.key.hash_part

    @property
    def digest(self) -> str:
        """64 hex digits that only this submission has. Readers may see them: they tell nobody who the builder is."""
        return hashlib.sha256(f"{self.key}?versionId={self.version_id}".encode()).hexdigest()
