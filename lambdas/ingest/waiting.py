"""Waiting and waking, so that no wake-up is lost (docs/adr/0022).

Whoever waits does: marker, result "waiting", *then* a second look. Whoever publishes does: publish, *then* list the
markers. Whichever comes first, one of the two sees the other: S3 reads and lists are strongly consistent.
"""

from __future__ import annotations

from collections.abc import Callable

from lambdas.ingest.claim import Claim
from lambdas.ingest.deadline import Turn
from lambdas.ingest.gate import Gate
from lambdas.ingest.ports import Ledger, Queue
from nixcache.store_path import HashPart
from protocol.keys import StagingNarInfoKey, WaitingKey
from protocol.verdicts import Waiting


class WaitingRoom:
    """Lets submissions through when their references are present, and keeps them until then."""

    def __init__(self, gate: Gate, ledger: Ledger, queue: Queue) -> None:
        """Ask ``gate``; keep markers in ``ledger``; wake through ``queue``."""
        self._gate = gate
        self._ledger = ledger
        self._queue = queue

    def enter(self, claim: Claim, turn: Turn, record: Callable[[Waiting], None]) -> Waiting | None:
        """Return None if ``claim`` may go on, or the verdict that it waits; ``record`` writes that as its result.

        One marker is enough, at the first reference that is missing: when that is published, the submission comes here
        again, and leaves the next marker if it must. A marker at each would wake it as often, or more.
        """
        while missing := self._gate.missing(claim.references, pulse=turn.going_on):
            marker = WaitingKey(missing[0].hash_part, claim.submission.builder, claim.submission.hash_part)
            verdict = Waiting(missing)
            self._ledger.put_marker(marker)
            # Before the second look: afterwards somebody may publish, wake and finish this very submission, and
            # "waiting" would then be written over its final result.
            record(verdict)
            if self._gate.missing(missing[:1], pulse=turn.going_on):
                return verdict
            self._ledger.drop_markers((marker,))
        return None

    def wake(self, published: HashPart, turn: Turn) -> None:
        """Wake all that wait for ``published``, which must be visible before this is called.

        Raises :class:`TransientError` when the time does not suffice; who is awake by then needs no waking any more.
        """
        for markers in self._ledger.markers(published):
            turn.going_on()
            self._queue.wake(StagingNarInfoKey(marker.builder, marker.hash_part) for marker in markers)
            self._ledger.drop_markers(markers)
