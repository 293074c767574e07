"""What the use case needs of the world. Every method raises :class:`TransientError` when the world is at fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from lambdas.ingest.submission import Submission
from nixcache.narinfo import NarInfo
from nixcache.signing import SecretKey
from nixcache.store_path import HashPart, StorePath
from protocol.keys import NarFile, StagingNarInfoKey, StagingNarKey, WaitingKey
from protocol.results import Result
from protocol.verdicts import PublicationWarning, Verdict


@dataclass(frozen=True, slots=True)
class StagedNarInfo:
    """One version of a narinfo in staging; ``data`` may be cut off after one byte more than is allowed."""

    version_id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class PinnedNar:
    """One version of a NAR in staging, which nobody can change any more; ``size`` is in bytes."""

    key: StagingNarKey
    version_id: str
    size: int


@dataclass(frozen=True, slots=True)
class PublishedNarInfo:
    """A narinfo that readers see, and the digest of the submission that it came from.

    ``is_listed`` tells whether it has a NAR listing, or shall have one: some NARs can have none. ``warnings`` are those
    that it was published with.
    """

    narinfo: NarInfo
    submission_digest: str | None
    is_listed: bool
    warnings: tuple[PublicationWarning, ...] = ()


class Staging(Protocol):
    """The staging bucket, read only; its objects may raise :class:`PermanentError` (``object-unreadable``)."""

    def narinfo(self, key: StagingNarInfoKey, version_id: str | None) -> StagedNarInfo | None:
        """Return that version (None: the current one), or None where there is none."""

    def nar(self, key: StagingNarKey) -> AbstractContextManager[tuple[PinnedNar, Iterator[bytes]] | None]:
        """Open the current version: which it is, and its bytes, to be read once. None where there is none."""


class Cache(Protocol):
    """The cache bucket, asked directly: never through anything that could remember an absence."""

    def find(self, hash_part: HashPart) -> PublishedNarInfo | None:
        """Return what is published under ``hash_part``."""

    def ensure_cache_info(self) -> None:
        """Make sure that ``nix-cache-info`` is there."""

    def copy_nar(self, source: PinnedNar, file: NarFile) -> bool:
        """Have ``file`` in the cache, from ``source`` on the server's side; False when ``source`` is gone."""

    def commit(self, publication: PublishedNarInfo) -> bool:
        """Publish, unless the hash part is taken: then change nothing and return False."""

    def has_listing(self, hash_part: HashPart) -> bool:
        """Tell whether there is a NAR listing."""

    def put_listing(self, hash_part: HashPart, listing: bytes) -> None:
        """Write the NAR listing."""

    def nar(self, file: NarFile) -> AbstractContextManager[Iterator[bytes]]:
        """Open a published NAR."""


class Ledger(Protocol):
    """The ledger bucket."""

    def record(self, result: Result) -> None:
        """Write the result where its builder reads it."""

    def put_provenance(self, hash_part: HashPart, statement: bytes) -> None:
        """Write where a published store object came from."""

    def put_marker(self, marker: WaitingKey) -> None:
        """Write a waiting marker; it is listed from now on."""

    def markers(self, missing: HashPart) -> Iterator[tuple[WaitingKey, ...]]:
        """Yield all that wait for ``missing``, page by page."""

    def drop_markers(self, markers: tuple[WaitingKey, ...]) -> None:
        """Delete waiting markers; at most a page of them. One that is gone already is no error."""


class Queue(Protocol):
    """The queue that ingest itself is fed from."""

    def wake(self, submissions: Iterable[StagingNarInfoKey]) -> None:
        """Have each of ``submissions`` judged again."""

    def rest(self, receipt_handle: str, *, seconds: int) -> None:
        """Have the message that was received as ``receipt_handle`` come again after ``seconds``."""


class SigningKeys(Protocol):
    """Where the secret key comes from."""

    def current(self) -> SecretKey:
        """Return the key to sign with now."""


class Upstreams(Protocol):
    """The binary caches whose paths count as present. They tell nobody when they get a path: none is waited for."""

    def references(self, path: StorePath) -> tuple[StorePath, ...] | None:
        """Return the references of ``path`` where one of them has it under a signature that its keys confirm."""


class Telemetry(Protocol):
    """What operators see. It never fails."""

    def judged(self, submission: Submission, store_path: StorePath | None, verdict: Verdict) -> None:
        """A submission has its verdict."""

    def stray(self, key: str, problem: str) -> None:
        """An event that concerns no submission was passed over."""

    def put_back(self, what: str, error: Exception) -> None:
        """A message goes back to the queue, ``what`` being the key or message that it failed on."""
