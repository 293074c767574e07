"""A vote: one builder's word, proven byte for byte, for what a store path holds (docs/adr/0050)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lambdas.ingest.submission import Submission
from nixcache.errors import TransientError
from nixcache.hashes import Hash
from nixcache.store_path import StorePath
from nixcache.verify import VerifiedStoreObject
from protocol.keys import StagingNarInfoKey, VoteKey

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """For which object, by which submission, and when. ``submission`` has a version; its builder is who votes."""

    submission: Submission
    store_path: StorePath
    nar_hash: Hash
    nar_size: int
    references: tuple[StorePath, ...]
    at: datetime

    @classmethod
    def of(cls, submission: Submission, verified: VerifiedStoreObject, *, at: datetime) -> Vote:
        """Return the vote that ``submission`` casts: for what was verified, and for nothing less."""
        return cls(
            submission=submission,
            store_path=verified.store_path,
            nar_hash=verified.nar_hash,
            nar_size=verified.nar_size,
            references=tuple(sorted(verified.references)),
            at=at,
        )

    @property
    def key(self) -> VoteKey:
        """Where it lies: a builder has one vote on a store path, whatever it submits, and however often."""
        return VoteKey(self.submission.hash_part, self.submission.builder)

    def agrees_with(self, other: Vote) -> bool:
        """Tell whether both are for the same object: all that a signature covers is the same.

        Neither has a content address: what has one needs no votes.
        """
        return (self.store_path, self.nar_hash, self.nar_size, self.references) == (
            other.store_path,
            other.nar_hash,
            other.nar_size,
            other.references,
        )

    def to_json(self) -> bytes:
        """Return the document."""
        document = {
            "schema": SCHEMA,
            "submission": {"key": str(self.submission.key), "versionId": self.submission.version_id},
            "storePath": self.store_path.base_name,
            "narHash": str(self.nar_hash),
            "narSize": self.nar_size,
            "references": [reference.base_name for reference in self.references],
            "at": self.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, key: VoteKey) -> Vote:
        """Read the document at ``key``; raises :class:`TransientError` for one that ingest did not write."""
        try:
            document = json.loads(data)
            if document["schema"] != SCHEMA:
                raise ValueError("its schema is another")  # noqa: TRY301 - one sentence for all that can be wrong
            vote = cls(
                submission=Submission(
                    StagingNarInfoKey.parse(document["submission"]["key"]), str(document["submission"]["versionId"])
                ),
                store_path=StorePath.from_base_name(document["storePath"]),
                nar_hash=Hash.parse(document["narHash"]),
                nar_size=int(document["narSize"]),
                references=tuple(map(StorePath.from_base_name, document["references"])),
                at=datetime.fromisoformat(document["at"]),
            )
            if vote.key != key:
                raise ValueError("it is another's")  # noqa: TRY301 - the same
        except Exception as error:
            # Ingest alone writes here, so it is no submission's fault: it waits until the operator has mended it.
            raise TransientError(f"The vote {key} cannot be read: {error!r}.", remedy="Delete it.") from error
        return vote
