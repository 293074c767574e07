"""The results that builders read: always the newest verdict, whichever order events come in (docs/adr/0048)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from lambdas.ingest.ports import Ledger, Staging
from lambdas.ingest.vote import Vote
from nixcache.errors import TransientError
from nixcache.hashes import Hash
from protocol.keys import ResultKey
from protocol.results import MAX_DISPUTES, Result
from protocol.verdicts import Against, AwaitingQuorum, Conflict, Rejected, Verdict, Waiting

ATTEMPTS: Final = 8
"""Times that a result is read and written anew before the submission goes back to the queue. Hardly ever two."""

_DONE: Final = 2
"""The rank of what stays, whatever happens: see :func:`_rank`."""


class ResultsBook:
    """Writes results into ``ledger``, each over what is there, and over nothing newer."""

    def __init__(self, ledger: Ledger, staging: Staging) -> None:
        """Ask ``staging`` which of two versions is the newer one."""
        self._ledger = ledger
        self._staging = staging

    def record(self, result: Result, *, likely_first: bool) -> None:
        """Write ``result``, unless what is there is newer or as good. Raises :class:`TransientError`.

        ``likely_first`` saves a request where nothing is there, and costs one where something is.
        """
        create = likely_first
        for _ in range(ATTEMPTS):
            if create and self._ledger.create_result(result):
                return
            kept = self._ledger.result(_key(result))
            if kept is None:
                create = True
                continue
            if not self._supersedes(result, kept.result):
                return
            # Disputes are about the store path, and stay with it.
            if self._ledger.replace_result(replace(result, disputed_by=kept.result.disputed_by), kept.etag):
                return
        raise _contended(result)

    def dispute(self, publication: Result, nar_hash: Hash) -> None:
        """Tell the builder of ``publication`` that another has submitted ``nar_hash`` for its store path.

        Where its own result is not written yet, ``publication`` is, since it will be. Raises :class:`TransientError`.
        """
        for _ in range(ATTEMPTS):
            kept = self._ledger.result(_key(publication))
            if kept is None:
                if self._ledger.create_result(replace(publication, disputed_by=(nar_hash,))):
                    return
                continue
            disputed_by = kept.result.disputed_by
            if nar_hash in disputed_by or len(disputed_by) >= MAX_DISPUTES:
                return
            if self._ledger.replace_result(replace(kept.result, disputed_by=(*disputed_by, nar_hash)), kept.etag):
                return
        raise _contended(publication)

    def update_awaiting(self, vote: Vote, verdict: AwaitingQuorum | Conflict) -> None:
        """Tell whoever cast ``vote``, and awaits a quorum, what it has come to. Raises :class:`TransientError`.

        Whoever has no result yet looks at the votes again after it is written.
        """
        for _ in range(ATTEMPTS):
            kept = self._ledger.result(ResultKey(vote.key.builder, vote.key.hash_part))
            if kept is None or not isinstance(awaiting := kept.result.verdict, AwaitingQuorum):
                return
            if isinstance(verdict, AwaitingQuorum) and verdict.have <= awaiting.have:
                return
            if self._ledger.replace_result(replace(kept.result, verdict=verdict), kept.etag):
                return
        raise TransientError(f"The result on the vote {vote.key} is written by others all the time.")

    def _supersedes(self, new: Result, old: Result) -> bool:
        if not new.version_id:
            # There was nothing to judge: whoever is done by then stays so, and who has come meanwhile is judged itself.
            return _rank(new.verdict) > _rank(old.verdict) and self._staging.narinfo(new.submission, None) is None
        if new.version_id == old.version_id:
            rank, kept_rank = _rank(new.verdict), _rank(old.verdict)
            return rank > kept_rank or (rank == kept_rank < _DONE and new.verdict != old.verdict)
        versions = self._staging.versions(new.submission)
        if old.version_id not in versions:
            # Gone, as lifecycle rules take the oldest first. Where both are gone, who is done has the last word.
            return new.version_id in versions or _rank(new.verdict) >= _rank(old.verdict)
        return new.version_id in versions and versions.index(new.version_id) < versions.index(old.version_id)


def _rank(verdict: Verdict) -> int:
    """How final a verdict on one version is: two deliveries of it may be under way, and the slower one knows less.

    What was rejected for something that was missing may be published when it is delivered again; never the reverse.
    """
    match verdict:
        case Waiting() | AwaitingQuorum() | Conflict(against=Against.VOTE):
            return 0
        case Rejected():
            return 1
    return _DONE


def _key(result: Result) -> ResultKey:
    return ResultKey(result.submission.builder, result.submission.hash_part)


def _contended(result: Result) -> TransientError:
    return TransientError(f"The result {_key(result)} is written by others all the time.", remedy="It is tried again.")
