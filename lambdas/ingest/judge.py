"""From a claim to its outcome: check → gate → verify → agree → sign → publish."""

from __future__ import annotations

from collections.abc import Callable

from lambdas.ingest.allowance import allow
from lambdas.ingest.claim import Claim, check
from lambdas.ingest.deadline import Turn
from lambdas.ingest.outcome import Outcome, compare, compare_upstream
from lambdas.ingest.ports import Cache, PinnedNar, Staging, Upstreams
from lambdas.ingest.publish import Publisher, nar_missing
from lambdas.ingest.quorum import Agreement, Quorum
from lambdas.ingest.reference_judge import ReferenceJudge
from lambdas.ingest.waiting import WaitingRoom
from nixcache.errors import PermanentError
from nixcache.verify import Limits, VerifiedStoreObject, verify
from protocol.policy import SubmissionPolicy
from protocol.verdicts import PublicationWarning, Published, Verdict


class Judge:
    """Judges claims. Nothing is signed before all that the policy asks for has been found true (I1)."""

    def __init__(
        self,
        *,
        staging: Staging,
        cache: Cache,
        upstreams: Upstreams | None,
        waiting_room: WaitingRoom,
        reference_judge: ReferenceJudge,
        quorum: Quorum,
        publisher: Publisher,
        policy: SubmissionPolicy,
        limits: Limits,
    ) -> None:
        """Work over the given ports. Without ``upstreams``, a path is published that one of them has, too."""
        self._staging = staging
        self._cache = cache
        self._upstreams = upstreams
        self._waiting_room = waiting_room
        self._reference_judge = reference_judge
        self._quorum = quorum
        self._publisher = publisher
        self._policy = policy
        self._limits = limits

    def judge(self, claim: Claim, turn: Turn, record: Callable[[Verdict], None]) -> Outcome:
        """Take ``claim`` as far as it goes in its ``turn``; ``record`` writes a result that may not be the last one.

        Raises :class:`PermanentError` for what is the submission's fault, and :class:`TransientError`.
        """
        check(claim)
        limits = allow(claim, self._policy, self._limits)
        if (published := self._cache.find(claim.hash_part)) is not None:
            outcome = compare(claim, published)
            # A wake-up names no version: before a crash, it may have been for an older one that this was published.
            if isinstance(outcome.verdict, Published) or claim.submission.is_woken:
                self._publisher.complete(published, turn)
            return outcome
        if self._upstreams is not None:
            upstream = self._upstreams.find(claim.narinfo.store_path)
            if upstream is not None:
                return compare_upstream(claim, upstream)
        waiting = self._waiting_room.enter(claim, turn, record)
        if waiting is not None:
            return Outcome(waiting)
        pulse = turn.verification()
        with self._staging.nar(claim.nar_key) as opened:
            if opened is None:
                raise nar_missing(claim.nar_key.file)
            nar, chunks = opened
            # Before the first byte: what the narinfo left out, or lied about, S3 knows.
            limits.check_file_size(nar.size, claim.narinfo.nar_size)
            verified = verify(
                claim.narinfo,
                chunks,
                limits=limits,
                reference_not_found=self._reference_judge.policy.not_found,
                pulse=pulse,
            )
        warnings = self._reference_judge.warnings(claim, verified, pulse=turn.going_on)
        agreed = self._quorum.vote(claim, verified, record)
        if not isinstance(agreed, Agreement):
            published = self._cache.find(claim.hash_part)
            return Outcome(agreed) if published is None else compare(claim, published)
        return self._publish(claim, verified, nar, warnings, agreed, turn)

    def _publish(
        self,
        claim: Claim,
        verified: VerifiedStoreObject,
        nar: PinnedNar,
        warnings: tuple[PublicationWarning, ...],
        agreement: Agreement,
        turn: Turn,
    ) -> Outcome:
        try:
            return self._publisher.publish(claim, verified, nar, warnings, agreement)
        except PermanentError:
            # The others that agree would wait for this one's publication: one of them has to publish now.
            if agreement.need > 1:
                self._waiting_room.wake(claim.hash_part, turn)
            raise
