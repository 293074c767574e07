"""What the use case needs of the world. Every method raises :class:`TransientError` when the world is at fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lambdas.ingest.submission import Submission
from lambdas.ingest.vote import Vote
from nixcache.narinfo import NarInfo
from nixcache.signing import SecretKey
from nixcache.store_path import HashPart, StorePath
from protocol.keys import NarFile, ResultKey, StagingNarInfoKey, StagingNarKey, WaitingKey
from protocol.results import Result
from protocol.verdicts import PublicationWarning, Verdict
from protocol.withdrawn import Withdrawn


@dataclass(frozen=True, slots=True)
class StagedNarInfo:
    """One version of a narinfo in staging, there since ``stored_at``.

    ``data`` may be cut off after one byte more than is allowed.
    """

    version_id: str
    stored_at: datetime
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
    that it was published with. ``stored_at`` is since when it is there, or None where it was written just now.
    """

    narinfo: NarInfo
    submission_digest: str | None
    is_listed: bool
    warnings: tuple[PublicationWarning, ...] = ()
    stored_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UpstreamNarInfo:
    """A narinfo of the trusted upstream at ``url``, signed by one of its keys."""

    url: str
    narinfo: NarInfo


@dataclass(frozen=True, slots=True)
class KeptResult:
    """A result as it lies in the ledger; ``etag`` changes with it."""

    result: Result
    etag: str


class Staging(Protocol):
    """The staging bucket, read only; its objects may raise :class:`PermanentError` (``object-unreadable``)."""

    def narinfo(self, key: StagingNarInfoKey, version_id: str | None) -> StagedNarInfo | None:
        """Return that version (None: the current one), or None where there is none."""

    def versions(self, key: StagingNarInfoKey) -> tuple[str, ...]:
        """Return the ids of the versions that there still are, the newest first; of very many, the newest."""

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
    """The ledger bucket. What must not be overwritten blindly is written under a condition."""

    def result(self, key: ResultKey) -> KeptResult | None:
        """Return the result at ``key``."""

    def create_result(self, result: Result) -> bool:
        """Write the first result of its key; False where there is one."""

    def replace_result(self, result: Result, etag: str) -> bool:
        """Write over the result with ``etag``; False where there is another by now, or none."""

    def announce(self, awaited: HashPart) -> None:
        """Have whoever publishes ``awaited`` look for waiters; no news where it is published."""

    def put_provenance(self, hash_part: HashPart, envelope: bytes, *, replaces: Callable[[bytes], bool]) -> bool:
        """Write where a published store object came from; False where there was something, if only an announcement.

        ``replaces`` says of what was written there before whether ``envelope`` goes over it.
        """

    def provenance(self, hash_part: HashPart) -> bytes | None:
        """Return where a published store object came from; None where nobody has written it yet."""

    def cast(self, vote: Vote) -> Vote:
        """Write the first vote of its key; return the one that stands there now, this or an earlier one."""

    def votes(self, hash_part: HashPart) -> tuple[Vote, ...]:
        """Return all votes on ``hash_part``."""

    def list_orphan(self, file: NarFile) -> None:
        """Write down that ``file`` in the cache lost a race, for who collects what no narinfo names."""

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
    """Where the secret keys come from."""

    def signing(self) -> tuple[SecretKey, ...]:
        """Return the keys to sign with now: the present one first, then the one before, until readers trust the first.

        No two have one name.
        """


class Withdrawals(Protocol):
    """Where the list of what an operator took out of the cache comes from."""

    def current(self) -> Withdrawn:
        """Return the list, which may be as old as :data:`protocol.withdrawn.KEPT_SECONDS`."""


class Upstreams(Protocol):
    """The binary caches whose paths count as present. They tell nobody when they get a path: none is waited for."""

    def find(self, path: StorePath) -> UpstreamNarInfo | None:
        """Return the narinfo of ``path`` from the first that has it under a signature that its keys confirm."""


class Telemetry(Protocol):
    """What operators see. It never fails."""

    def verified(
        self, submission: Submission, store_path: StorePath, *, nar_size: int, file_size: int, seconds: float
    ) -> None:
        """Every byte of a NAR was read and found true, in ``seconds``; sizes in bytes, as NAR and as compressed."""

    def judged(self, submission: Submission, store_path: StorePath | None, verdict: Verdict) -> None:
        """A submission has its verdict."""

    def stray(self, key: str, problem: str) -> None:
        """An event that concerns no submission was passed over."""

    def put_back(self, what: str, error: Exception) -> None:
        """A message goes back to the queue, ``what`` being the key or message that it failed on."""
