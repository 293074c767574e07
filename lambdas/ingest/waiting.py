"""Waiting and waking, so that no wake-up is lost (docs/adr/0022).

Whoever waits does: announcement, marker, result "waiting", *then* a second look. Whoever publishes does: publish,
*then* ask whether somebody has announced himself, and list the markers. Whichever comes first, one of the two sees the
other: S3 reads and lists are strongly consistent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from lambdas.ingest.claim import Claim
from lambdas.ingest.deadline import Turn
from lambdas.ingest.gate import Gate
from lambdas.ingest.ports import Ledger, Queue
from nixcache.errors import PermanentError
from nixcache.store_path import HashPart, StorePath
from protocol.keys import BuilderName, StagingNarInfoKey, WaitingKey
from protocol.verdicts import ServiceCode, Waiting

REMEMBERED_ANNOUNCEMENTS: Final = 65_536
"""Announcements that a container need not make again; memory is bounded (I7)."""
REMEMBERED: Final = timedelta(minutes=5)
"""For how long: where somebody deletes an announcement, or the provenance in its place, it is made anew after that."""


class WaitingRoom:
    """Lets submissions through when their references are present, and keeps them until then, or for so long."""

    def __init__(
        self, gate: Gate, ledger: Ledger, queue: Queue, *, max_waiting: timedelta, now: Callable[[], datetime]
    ) -> None:
        """Ask ``gate``; keep markers in ``ledger``; wake through ``queue``."""
        self._gate = gate
        self._ledger = ledger
        self._queue = queue
        self._max_waiting = max_waiting
        self._now = now
        self._announced: dict[HashPart, datetime] = {}

    def enter(self, claim: Claim, turn: Turn, record: Callable[[Waiting], None]) -> Waiting | None:
        """Return None if ``claim`` may go on, or the verdict that it waits; ``record`` writes that as its result.

        One marker is enough, at the first reference that is missing: when that is published, the submission comes here
        again, and leaves the next marker if it must. A marker at each would wake it as often, or more. Raises
        :class:`PermanentError` (``references-missing``) for one that has waited long enough.
        """
        while missing := self._gate.missing(claim.references, pulse=turn.going_on):
            marker = WaitingKey(missing[0].hash_part, claim.submission.builder, claim.submission.hash_part)
            if self.is_overdue(claim):
                raise _references_missing(missing)
            verdict = Waiting(missing)
            self.leave(marker)
            record(verdict)
            if self._gate.missing(missing[:1], pulse=turn.going_on):
                return verdict
            # The marker stays: another version of this submission may wait by it. Whoever published takes it away.
        return None

    def leave(self, marker: WaitingKey) -> None:
        """Have ``marker``'s submission woken when what it waits for is published from now on."""
        # First: whoever publishes looks for markers only where somebody has announced himself, and no marker of a
        # submission that ingest died over shall be left lying.
        if not self._is_announced(marker.missing):
            self._ledger.announce(marker.missing)
            if len(self._announced) >= REMEMBERED_ANNOUNCEMENTS:
                self._announced.clear()
            self._announced[marker.missing] = self._now()
        self._ledger.put_marker(marker)

    def is_overdue(self, claim: Claim) -> bool:
        """Tell whether ``claim`` came so long ago that it does not wait any more."""
        return self._now() - claim.stored_at > self._max_waiting

    def wake(self, published: HashPart, turn: Turn) -> None:
        """Wake all that wait for ``published``, which must be visible before this is called.

        Raises :class:`TransientError` when the time does not suffice; who is awake by then needs no waking any more.
        """
        for markers in self._ledger.markers(published):
            turn.going_on()
            self._queue.wake(StagingNarInfoKey(marker.builder, marker.hash_part) for marker in markers)
            self._ledger.drop_markers(markers)

    def wake_voters(self, hash_part: HashPart, builders: Collection[BuilderName]) -> None:
        """Wake those of ``builders`` that wait for others to vote on ``hash_part``, and nobody else."""
        for markers in self._ledger.markers(hash_part):
            voters = tuple(m for m in markers if m.hash_part == hash_part and m.builder in builders)
            if voters:
                self._queue.wake(StagingNarInfoKey(marker.builder, marker.hash_part) for marker in voters)
                self._ledger.drop_markers(voters)

    def _is_announced(self, awaited: HashPart) -> bool:
        """Tell whether this container has announced itself there lately: nobody but an operator takes that back."""
        since = self._announced.get(awaited)
        return since is not None and self._now() - since < REMEMBERED


def _references_missing(missing: Sequence[StorePath]) -> PermanentError:
    return PermanentError(
        ServiceCode.REFERENCES_MISSING,
        f"It has waited long enough for {', '.join(path.base_name for path in missing)}.",
        remedy="Submit what is missing, then this path again.",
        field="References",
    )
