"""*Tell*: provenance, the result that the builder reads, whoever is contradicted, operators, and all that wait."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from lambdas.ingest.claim import Claim
from lambdas.ingest.deadline import Turn
from lambdas.ingest.notary import Notary
from lambdas.ingest.outcome import Outcome
from lambdas.ingest.ports import PublishedNarInfo, Telemetry
from lambdas.ingest.results_book import ResultsBook
from lambdas.ingest.submission import Submission
from lambdas.ingest.waiting import WaitingRoom
from nixcache.store_path import StorePath
from protocol.results import Result
from protocol.verdicts import Against, AwaitingQuorum, Conflict, Published, Verdict, Waiting


class Teller:
    """Writes down what became of a submission, so that doing it again changes nothing (I6)."""

    def __init__(
        self,
        *,
        notary: Notary,
        results: ResultsBook,
        waiting_room: WaitingRoom,
        telemetry: Telemetry,
        now: Callable[[], datetime],
    ) -> None:
        """Have ``notary`` attest, write into ``results``, wake by ``waiting_room``, and count in ``telemetry``."""
        self._notary = notary
        self._results = results
        self._waiting_room = waiting_room
        self._telemetry = telemetry
        self._now = now

    def record(self, submission: Submission, store_path: StorePath | None, verdict: Verdict) -> None:
        """Write ``verdict`` where the builder of ``submission`` reads it."""
        result = Result(
            submission=submission.key,
            version_id=submission.version_id or "",
            store_path=store_path,
            verdict=verdict,
            at=self._now(),
        )
        # Whoever is woken has a result that says what it waited for.
        self._results.record(result, likely_first=not submission.is_woken)

    def reject(self, submission: Submission, store_path: StorePath | None, verdict: Verdict) -> None:
        """Tell of a submission that never became a claim, or whose claim was refused."""
        self.record(submission, store_path, verdict)
        self._telemetry.judged(submission, store_path, verdict)

    def make_up(self, submission: Submission, publication: PublishedNarInfo, turn: Turn) -> None:
        """Tell what a crash left untold of ``publication``, if it was ``submission``'s."""
        self._notary.make_up(submission, publication)
        self._waiting_room.wake(submission.hash_part, turn)

    def tell(self, claim: Claim, outcome: Outcome, turn: Turn) -> None:
        """Tell of ``outcome``; raises :class:`TransientError` to be called again."""
        submission, path, verdict = claim.submission, claim.narinfo.store_path, outcome.verdict
        may_be_awaited = outcome.is_present
        if isinstance(verdict, Published) and outcome.publication is not None:
            # Whoever waits has announced himself there, or comes late enough to see the publication.
            may_be_awaited = not self._notary.attest(submission, outcome.publication, outcome.agreement)
        elif submission.is_woken and outcome.publication is not None:
            self._notary.make_up(submission, outcome.publication)
        if not isinstance(verdict, Waiting | AwaitingQuorum):  # those are written before the second look
            self.record(submission, path, verdict)
        self._telemetry.judged(submission, path, verdict)
        if may_be_awaited:
            # After the result, as there may be any number of them; the message is there until all are awake. Also where
            # somebody else published the path: they may have crashed before they woke anybody.
            self._waiting_room.wake(claim.hash_part, turn)
        if isinstance(verdict, Conflict) and verdict.against is Against.PUBLISHED and outcome.publication is not None:
            # Last: it may have to wait for whoever published the path, and nobody else shall wait for that.
            self._dispute(claim, outcome.publication)

    def _dispute(self, claim: Claim, publication: PublishedNarInfo) -> None:
        """Have whoever published the path know that another object was submitted for it."""
        published = self._notary.publisher(claim, publication)
        if published is not None and published.submission.builder != claim.submission.builder:
            self._results.dispute(published, claim.narinfo.nar_hash)
