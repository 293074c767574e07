"""A queue entry: one store path on its way, and how far it has come."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from hook.errors import BuilderCode, Cause
from nixcache.errors import PermanentError
from nixcache.store_path import StorePath
from protocol.verdicts import AwaitingQuorum

if TYPE_CHECKING:
    from nixcache.store_path import StoreDir

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """To be uploaded, not before ``next_attempt_at`` (seconds since the epoch).

    ``problem`` ended the last of ``tries`` in vain, and ``cause`` is what kind of problem that was; ``uploads`` counts
    submissions that the service could not find.
    """

    state: ClassVar = "queued"
    tries: int = 0
    next_attempt_at: float = 0
    problem: str = ""
    cause: Cause | None = None
    uploads: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """In staging as exactly this version; the verdict is awaited.

    ``staged_at`` is S3's clock, ``since`` ours (seconds since the epoch). ``waits_for`` are the references that the
    service itself waits for, ``quorum`` how far the agreement is that it waits for; ``uploads`` counts this submission
    and those before it that were lost.
    """

    state: ClassVar = "submitted"
    version_id: str
    staged_at: datetime
    since: float
    uploads: int
    waits_for: tuple[StorePath, ...] = ()
    quorum: AwaitingQuorum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Will not be published as it is: kept until somebody has read why, and builds or pushes it again.

    Wider than the verdict ``rejected``: a conflict, or what this machine itself could not read, ends here as well.
    """

    state: ClassVar = "rejected"
    code: str
    problem: str
    since: float


Progress: TypeAlias = Queued | Submitted | Refused


@dataclass(frozen=True, slots=True)
class Entry:
    """``queued_at`` is in seconds since the epoch."""

    path: StorePath
    queued_at: float
    progress: Progress

    def document(self, store_dir: StoreDir) -> dict[str, Any]:
        """Return the entry as plain data: what ``assay status --json`` shows of it."""
        return {
            "schema": SCHEMA,
            "storePath": store_dir.render(self.path),
            "queuedAt": self.queued_at,
            "state": self.progress.state,
            **details(self.progress),
        }

    @classmethod
    def parse(cls, document: object, store_dir: StoreDir) -> Entry:
        """Read a document; raises :class:`PermanentError` (``queue-entry-malformed``)."""
        try:
            if not isinstance(document, dict):
                problem = "it is no object"
            elif document["schema"] == SCHEMA:
                path = store_dir.parse(document["storePath"])
                return cls(path, float(document["queuedAt"]), _progress(document))
            else:
                problem = f"its schema is {document['schema']!r}, this version reads {SCHEMA}"
        # OverflowError: of int(), for JSON's Infinity.
        except (
            ValueError,
            OverflowError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
            PermanentError,
        ) as error:
            problem = repr(error)
        raise PermanentError(
            BuilderCode.QUEUE_ENTRY_MALFORMED,
            f"A queue entry was set aside: {problem}.",
            remedy="Push its path again with `assay push`, then delete it.",
        )


def details(progress: Progress) -> dict[str, Any]:
    """Return the fields that only entries in this state have."""
    match progress:
        case Queued():
            return {
                "tries": progress.tries,
                "nextAttemptAt": progress.next_attempt_at,
                "problem": progress.problem,
                "cause": progress.cause,
                "uploads": progress.uploads,
            }
        case Submitted():
            return {
                "uploads": progress.uploads,
                "versionId": progress.version_id,
                "stagedAt": progress.staged_at.isoformat(),
                "since": progress.since,
                "waitsFor": [path.base_name for path in progress.waits_for],
                "quorum": asdict(progress.quorum) if progress.quorum else None,
            }
        case Refused():
            return {"code": progress.code, "problem": progress.problem, "since": progress.since}


def _progress(document: dict[str, Any]) -> Progress:
    match document["state"]:
        case Queued.state:
            return Queued(
                tries=int(document["tries"]),
                next_attempt_at=float(document["nextAttemptAt"]),
                problem=str(document["problem"]),
                cause=None if document["cause"] is None else Cause(document["cause"]),
                uploads=int(document["uploads"]),
            )
        case Submitted.state:
            return Submitted(
                version_id=str(document["versionId"]),
                staged_at=_time(document["stagedAt"]),
                since=float(document["since"]),
                uploads=int(document["uploads"]),
                waits_for=tuple(map(StorePath.from_base_name, document["waitsFor"])),
                quorum=_quorum(document["quorum"]),
            )
        case Refused.state:
            return Refused(code=str(document["code"]), problem=str(document["problem"]), since=float(document["since"]))
    raise ValueError(f"no state {document['state']!r}")


def _quorum(document: dict[str, Any] | None) -> AwaitingQuorum | None:
    return None if document is None else AwaitingQuorum(int(document["have"]), int(document["need"]))


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return time
