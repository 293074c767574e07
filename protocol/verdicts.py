"""Verdicts: how a submission can end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias

from nixcache.errors import PermanentError
from nixcache.hashes import Hash
from nixcache.store_path import StorePath


class ServiceCode(StrEnum):
    """Reasons to reject a submission that lie outside its formats; those inside are ``nixcache.errors.Code``."""

    HASH_PART_MISMATCH = "hash-part-mismatch"
    NARINFO_MISSING = "narinfo-missing"
    NAR_MISSING = "nar-missing"
    OBJECT_UNREADABLE = "object-unreadable"
    REFERENCE_UNDECLARED = "reference-undeclared"
    REFERENCES_MISSING = "references-missing"
    QUORUM_MISSING = "quorum-missing"
    NOT_ALLOWED = "not-allowed"
    WITHDRAWN = "withdrawn"


class Kind(StrEnum):
    """The words that stand for verdicts in result documents and metrics."""

    PUBLISHED = "published"
    DUPLICATE = "duplicate"
    WAITING = "waiting"
    AWAITING_QUORUM = "awaiting-quorum"
    CONFLICT = "conflict"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class PublicationWarning:
    """Something that the policy lets pass: ``code`` is the one that a rejection for it would have.

    ``problem`` is a sentence; ``paths`` are the store paths that it is about, or the first of them.
    """

    code: str
    problem: str
    paths: tuple[StorePath, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """Proven, signed by the keys of these names (ours first, then kept ones of upstreams), and visible to readers."""

    kind: ClassVar = Kind.PUBLISHED
    signed_by: tuple[str, ...]
    warnings: tuple[PublicationWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A narinfo with the same store path, NAR hash and size and references is published already.

    Nor do the content addresses contradict one another; one of the two may have none. ``upstream`` is the URL of the
    trusted upstream that has it, or None where it is published here.

    Nothing more of the submission was read: not its NAR, which may as well not be what it claims.
    """

    kind: ClassVar = Kind.DUPLICATE
    upstream: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """These references are neither published here nor in a trusted upstream.

    The submission goes on when they are published here. What appears upstream wakes nobody: submit again then.
    """

    kind: ClassVar = Kind.WAITING
    missing: tuple[StorePath, ...]


@dataclass(frozen=True, slots=True)
class AwaitingQuorum:
    """Proven, and not signed yet: builders of ``have`` trust groups agree on it, and the policy asks for ``need``."""

    kind: ClassVar = Kind.AWAITING_QUORUM
    have: int
    need: int


class Against(StrEnum):
    """What a submission is in conflict with."""

    PUBLISHED = "published"
    UPSTREAM = "upstream"
    VOTE = "vote"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another object has this store path, as ``against`` says: what is published stays, and so does a vote.

    The hashes may agree: then the references or the content address differ.
    """

    kind: ClassVar = Kind.CONFLICT
    other_nar_hash: Hash
    submitted_nar_hash: Hash
    against: Against = Against.PUBLISHED


@dataclass(frozen=True, slots=True)
class Rejected:
    """The submission is at fault. ``code`` is stable; ``field`` and ``offset`` say where, ``remedy`` what to do."""

    kind: ClassVar = Kind.REJECTED
    code: str
    problem: str
    remedy: str
    field: str | None
    offset: int | None

    @classmethod
    def because(cls, error: PermanentError) -> Rejected:
        """Return the verdict that ``error`` amounts to."""
        return cls(error.code.value, error.problem, error.remedy, error.field, error.offset)


Verdict: TypeAlias = Published | Duplicate | Waiting | AwaitingQuorum | Conflict | Rejected


def is_final(verdict: Verdict) -> bool:
    """Tell whether its builder can stop asking; what waits, for whatever, goes on.

    A conflict with a vote is final in this sense, though other builders may still settle it.
    """
    return not isinstance(verdict, Waiting | AwaitingQuorum)
