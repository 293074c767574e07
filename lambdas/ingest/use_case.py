"""The way of a submission: load → check → gate → verify → sign → publish → tell."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from lambdas.ingest import provenance
from lambdas.ingest.claim import Claim, check, read_claim
from lambdas.ingest.deadline import Turn
from lambdas.ingest.events import Misnamed
from lambdas.ingest.outcome import Outcome, compare
from lambdas.ingest.ports import Cache, Ledger, Staging, Telemetry
from lambdas.ingest.publish import Publisher, nar_missing
from lambdas.ingest.reference_judge import ReferenceJudge
from lambdas.ingest.submission import Submission
from lambdas.ingest.waiting import WaitingRoom
from nixcache import nix32
from nixcache.errors import PermanentError
from nixcache.store_path import StoreDir, StorePath, parse_hash_part
from nixcache.verify import Limits, verify
from protocol.keys import KeyCode, StagingNarInfoKey
from protocol.results import Result
from protocol.verdicts import Published, Rejected, ServiceCode, Verdict, Waiting


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Ingest:
    """Judges submissions, any number of times and in any order: the same ones end in the same state (I6)."""

    def __init__(
        self,
        *,
        staging: Staging,
        cache: Cache,
        ledger: Ledger,
        telemetry: Telemetry,
        waiting_room: WaitingRoom,
        reference_judge: ReferenceJudge,
        publisher: Publisher,
        store_dir: StoreDir,
        limits: Limits,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Work over the given ports, for a cache of ``store_dir``."""
        self._staging = staging
        self._cache = cache
        self._ledger = ledger
        self._telemetry = telemetry
        self._waiting_room = waiting_room
        self._reference_judge = reference_judge
        self._publisher = publisher
        self._store_dir = store_dir
        self._limits = limits
        self._now = now

    def judge(self, submission: Submission, turn: Turn) -> None:
        """Take ``submission`` as far as it goes in its ``turn``, and tell all.

        Raises :class:`TransientError` to be called again.
        """
        store_path = None
        try:
            staged = self._staging.narinfo(submission.key, submission.version_id)
            if staged is None:
                if submission.version_id is None and self._cache.find(submission.hash_part) is not None:
                    # A wake-up by a marker that outlived its submission, whose verdict is final: it stays.
                    self._telemetry.stray(str(submission.key), "The submission to wake is gone, its path is published.")
                    return
                raise _narinfo_missing(submission)
            submission = replace(submission, version_id=staged.version_id)
            claim = read_claim(submission, staged.data, self._store_dir)
            store_path = claim.narinfo.store_path
            outcome = self._judge(claim, turn)
        except PermanentError as error:
            outcome = Outcome(Rejected.because(error))
        self._tell(submission, store_path, outcome)
        if outcome.visible is not None:
            # Last, as there may be any number of them; the message is there until all are awake. Also where somebody
            # else published the path: they may have crashed before they woke anybody.
            self._waiting_room.wake(outcome.visible.store_path.hash_part, turn)

    def refuse(self, misnamed: Misnamed) -> None:
        """Tell the builder that a ``.narinfo`` lies where no submission can be."""
        error = PermanentError(
            KeyCode.OBJECT_KEY_MALFORMED,
            f"{misnamed.key[:300]!r} is not the key of a submission.",
            remedy="Upload a narinfo as <builder>/<hash part>.narinfo.",
        )
        # A result's name needs a hash part and this key has none, so it gets one that its builder can compute.
        hash_part = parse_hash_part(
            nix32.encode(hashlib.sha256(misnamed.key.encode(errors="surrogatepass")).digest()[:20])
        )
        submission = Submission(StagingNarInfoKey(misnamed.builder, hash_part), misnamed.version_id)
        self._tell(submission, None, Outcome(Rejected.because(error)))

    def _judge(self, claim: Claim, turn: Turn) -> Outcome:
        check(claim, self._limits)
        if (published := self._cache.find(claim.hash_part)) is not None:
            outcome = compare(claim, published)
            if isinstance(outcome.verdict, Published):
                self._publisher.complete(published, turn)
            return outcome
        waiting = self._waiting_room.enter(claim, turn, lambda verdict: self._record(claim, verdict))
        if waiting is not None:
            return Outcome(waiting)
        pulse = turn.verification()
        with self._staging.nar(claim.nar_key) as opened:
            if opened is None:
                raise nar_missing(claim.nar_key.file)
            nar, chunks = opened
            # Before the first byte: what the narinfo left out, or lied about, S3 knows.
            self._limits.check_file_size(nar.size, claim.narinfo.nar_size)
            verified = verify(
                claim.narinfo,
                chunks,
                limits=self._limits,
                reference_not_found=self._reference_judge.policy.not_found,
                pulse=pulse,
            )
        warnings = self._reference_judge.warnings(claim, verified, pulse=turn.going_on)
        return self._publisher.publish(claim, verified, nar, warnings)

    def _tell(self, submission: Submission, store_path: StorePath | None, outcome: Outcome) -> None:
        verdict = outcome.verdict
        if outcome.visible is not None and isinstance(verdict, Published):
            statement = provenance.render(
                outcome.visible, submission, verdict.warnings, self._reference_judge.policy, at=self._now()
            )
            self._ledger.put_provenance(submission.hash_part, statement)
        if not isinstance(verdict, Waiting):  # that one is written in the waiting room, in its own order
            self._write_result(submission, store_path, verdict)
        self._telemetry.judged(submission, store_path, verdict)

    def _record(self, claim: Claim, verdict: Verdict) -> None:
        self._write_result(claim.submission, claim.narinfo.store_path, verdict)

    def _write_result(self, submission: Submission, store_path: StorePath | None, verdict: Verdict) -> None:
        self._ledger.record(
            Result(
                submission=submission.key,
                version_id=submission.version_id or "",
                store_path=store_path,
                verdict=verdict,
                at=self._now(),
            )
        )


def _narinfo_missing(submission: Submission) -> PermanentError:
    return PermanentError(
        ServiceCode.NARINFO_MISSING,
        f"{submission.key} is not in the staging bucket any more.",
        remedy="Submit the path again.",
    )
