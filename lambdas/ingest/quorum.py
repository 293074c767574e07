"""*Quorum*: where the policy asks for it, builders that do not trust each other must agree before anything is signed.

Everybody writes first and looks afterwards: the vote, then the votes of others; marker and result, then the votes once
more. So of two that vote at once, one sees that they are enough, and either sees a contradiction (docs/adr/0050).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lambdas.ingest.claim import Claim
from lambdas.ingest.ports import Ledger
from lambdas.ingest.results_book import ResultsBook
from lambdas.ingest.submission import Submission
from lambdas.ingest.vote import Vote
from lambdas.ingest.waiting import WaitingRoom
from nixcache.content_address import ContentAddress
from nixcache.errors import PermanentError
from nixcache.narinfo import NarInfo
from nixcache.store_path import HashPart, StorePath
from nixcache.verify import VerifiedStoreObject
from protocol.keys import WaitingKey
from protocol.policy import SubmissionPolicy
from protocol.verdicts import Against, AwaitingQuorum, Conflict, ServiceCode, Verdict


@dataclass(frozen=True, slots=True)
class CountedVote:
    """A vote, and the trust group of its builder when it was counted."""

    vote: Vote
    trust_group: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """Who vouches for a store object that may be signed: ``need`` trust groups; if that is 1, its own builder alone."""

    need: int
    votes: tuple[CountedVote, ...] = ()


class Quorum:
    """Counts votes under ``policy``."""

    def __init__(
        self,
        policy: SubmissionPolicy,
        ledger: Ledger,
        results: ResultsBook,
        waiting_room: WaitingRoom,
        now: Callable[[], datetime],
    ) -> None:
        """Keep votes in ``ledger``; tell through ``results`` those whose verdict another vote changes."""
        self._policy = policy
        self._ledger = ledger
        self._results = results
        self._waiting_room = waiting_room
        self._now = now

    def agreed(self, submission: Submission, narinfo: NarInfo) -> Agreement:
        """Return who vouches for ``narinfo``, which was published for ``submission``."""
        need = self._need(narinfo.store_path, narinfo.ca)
        return Agreement(need, self._agreeing(submission) if need > 1 else ())

    def release(self, claim: Claim) -> None:
        """Wake the others that agree with ``claim``'s builder, if they are enough, as it cannot publish itself.

        Each has a marker once at the most, and leaves none again: with the quorum there, it publishes or comes here.
        """
        path = claim.narinfo.store_path
        need = self._policy.quorum_for(path)
        if need == 1:
            return
        agreeing = self._agreeing(claim.submission)
        if len({counted.trust_group for counted in agreeing}) >= need:
            self._waiting_room.wake_voters(path.hash_part, {counted.vote.key.builder for counted in agreeing})

    def vote(
        self, claim: Claim, verified: VerifiedStoreObject, record: Callable[[Verdict], None]
    ) -> Agreement | Verdict:
        """Have ``claim``'s builder vote for ``verified``; return who agrees or, if they are too few, the verdict.

        In the latter case it is woken when somebody publishes the path, unless somebody has by then: look once more.
        ``record`` writes a verdict as the submission's result. Raises :class:`PermanentError` (``quorum-missing``) when
        it has waited long enough, and :class:`TransientError`.
        """
        need = self._need(verified.store_path, verified.ca)
        if need == 1:
            return Agreement(need)
        vote = Vote.of(claim.submission, verified, at=self._now())
        marker = WaitingKey(claim.hash_part, claim.submission.builder, claim.hash_part)
        standing = self._ledger.cast(vote)
        if not standing.agrees_with(vote):
            # A second vote of one builder's: if it counted, one would stand on both sides and be everybody's quorum.
            self._waiting_room.leave(marker)
            return Conflict(standing.nar_hash, vote.nar_hash, Against.VOTE)
        counted = self._count(claim, vote, need)
        if isinstance(counted, Agreement):
            return counted
        if self._waiting_room.is_overdue(claim):
            if isinstance(counted, Conflict):
                return counted
            raise _missing(need)
        self._waiting_room.leave(marker)
        record(counted)
        again = self._count(claim, vote, need)
        if isinstance(again, AwaitingQuorum) and again != counted:
            # Whoever voted meanwhile may have found no result of this one's to bring up to date.
            self._results.update_awaiting(vote, again)
        return again

    def _need(self, path: StorePath, ca: ContentAddress | None) -> int:
        """Return how many trust groups have to agree on ``path``.

        Nobody's word is needed where ``ca`` is published, for then the bytes prove the path. Not where it is only
        claimed: one that clients disagree on is proven of several contents, and not published (docs/adr/0043).
        """
        return 1 if ca is not None else self._policy.quorum_for(path)

    def _agreeing(self, submission: Submission) -> tuple[CountedVote, ...]:
        votes = self._votes(submission.hash_part)
        own = [counted.vote for counted in votes if counted.vote.key.builder == submission.builder]
        return tuple(counted for counted in votes if own and counted.vote.agrees_with(own[0]))

    def _votes(self, hash_part: HashPart) -> list[CountedVote]:
        """Return the votes of those builders that may still submit the path, in the trust groups of today's policy."""
        rules = ((vote, self._policy.rules(vote.key.builder)) for vote in self._ledger.votes(hash_part))
        return [
            CountedVote(vote, rule.trust_group)
            for vote, rule in rules
            if rule is not None and rule.input_addressed and rule.allows_name(vote.store_path)
        ]

    def _count(self, claim: Claim, own: Vote, need: int) -> Agreement | AwaitingQuorum | Conflict:
        votes = self._votes(claim.hash_part)
        agreeing = tuple(counted for counted in votes if counted.vote.agrees_with(own))
        contradicting = [counted.vote for counted in votes if not counted.vote.agrees_with(own)]
        have = len({counted.trust_group for counted in agreeing})
        if have >= need:
            return Agreement(need, agreeing)
        for counted in agreeing:
            if counted.vote.key != own.key:
                self._results.update_awaiting(counted.vote, AwaitingQuorum(have, need))
        for vote in contradicting:
            self._results.update_awaiting(vote, Conflict(own.nar_hash, vote.nar_hash, Against.VOTE))
        if contradicting:
            return Conflict(contradicting[0].nar_hash, own.nar_hash, Against.VOTE)
        return AwaitingQuorum(have, need)


def _missing(need: int) -> PermanentError:
    return PermanentError(
        ServiceCode.QUORUM_MISSING,
        f"Builders of {need} trust groups have to agree on this object; it has waited long enough for them.",
        remedy="Have another builder build it. This vote stays; submit again to wait on.",
        field="StorePath",
    )
