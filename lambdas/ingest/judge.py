"""From a claim to its outcome: check → gate → verify → agree → sign → publish."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from lambdas.ingest.allowance import allow, allow_proven
from lambdas.ingest.claim import Claim, check
from lambdas.ingest.deadline import Turn
from lambdas.ingest.outcome import Outcome, compare, compare_upstream
from lambdas.ingest.ports import Cache, PublishedNarInfo, Staging, Telemetry, Upstreams
from lambdas.ingest.publish import Publisher, nar_missing
from lambdas.ingest.quorum import Agreement, Quorum
from lambdas.ingest.reference_judge import ReferenceJudge
from lambdas.ingest.waiting import WaitingRoom
from nixcache.errors import PermanentError
from nixcache.store_path import HashPart
from nixcache.verify import Limits, verify
from protocol.policy import SubmissionPolicy
from protocol.verdicts import Verdict


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
        telemetry: Telemetry,
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
        self._telemetry = telemetry

    def judge(self, claim: Claim, turn: Turn, record: Callable[[Verdict], None]) -> Outcome:
        """Take ``claim`` as far as it goes in its ``turn``; ``record`` writes a result that may not be the last one.

        Raises :class:`PermanentError` for what is the submission's fault, and :class:`TransientError`.
        """
        check(claim)
        publication = self._cache.find(claim.hash_part)
        if publication is not None and publication.submission_digest == claim.submission.digest:
            # It is done, and what the policy says by now changes nothing about it: only a crash may have left gaps.
            self._publisher.complete(publication, turn)
            return compare(claim, publication)
        limits = allow(claim, self._policy, self._limits)
        if publication is not None:
            # A wake-up names no version: before a crash, it may have been for an older one that this was published.
            if claim.submission.is_woken:
                self._publisher.complete(publication, turn)
            return compare(claim, publication)
        if self._upstreams is not None:
            upstream = self._upstreams.find(claim.narinfo.store_path)
            if upstream is not None:
                return compare_upstream(claim, upstream)
        # Before it can wait, or vote: whoever woke it, or agreed with it, would bring back what was taken out.
        self._publisher.refuse_withdrawn(claim)
        waiting = self._waiting_room.enter(claim, turn, record)
        if waiting is not None:
            return Outcome(waiting)
        try:
            return self._prove(claim, limits, turn, record)
        except PermanentError:
            # Others may have agreed with what it cannot publish: one of them has to.
            self._quorum.release(claim)
            raise

    def published(self, hash_part: HashPart, turn: Turn) -> PublishedNarInfo | None:
        """Return what is published under ``hash_part``, without the gaps that a crash may have left."""
        publication = self._cache.find(hash_part)
        if publication is not None:
            self._publisher.complete(publication, turn)
        return publication

    def _prove(self, claim: Claim, limits: Limits, turn: Turn, record: Callable[[Verdict], None]) -> Outcome:
        pulse = turn.verification()
        with self._staging.nar(claim.nar_key) as opened:
            if opened is None:
                raise nar_missing(claim.nar_key.file)
            nar, chunks = opened
            # Before the first byte: what the narinfo left out, or lied about, S3 knows.
            limits.check_file_size(nar.size, claim.narinfo.nar_size)
            began = monotonic()
            verified = verify(
                claim.narinfo,
                chunks,
                limits=limits,
                reference_not_found=self._reference_judge.policy.not_found,
                pulse=pulse,
            )
        self._telemetry.verified(
            claim.submission,
            verified.store_path,
            nar_size=verified.nar_size,
            file_size=verified.file_size,
            seconds=monotonic() - began,
        )
        allow_proven(claim, verified, self._policy)
        warnings = self._reference_judge.warnings(claim, verified, pulse=turn.going_on)
        agreed = self._quorum.vote(claim, verified, record)
        if not isinstance(agreed, Agreement):
            published = self._cache.find(claim.hash_part)
            return Outcome(agreed) if published is None else compare(claim, published)
        return self._publisher.publish(claim, verified, nar, warnings, agreed)
