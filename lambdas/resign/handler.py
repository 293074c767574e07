"""What Step Functions calls, with a batch of the cache's keys at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from lambdas.context import Context
from lambdas.emf import EventLog, Level, Metric
from lambdas.ingest.adapters.clients import CONNECTIONS, Clients
from lambdas.ingest.deadline import Deadline, Turn
from lambdas.keys.secret import SigningSecret
from lambdas.resign.key_ring import KeyRing
from lambdas.resign.narinfos import S3NarInfos
from lambdas.resign.request import Request
from lambdas.resign.resigner import Ending, Outcome, Resigner
from lambdas.resign.vouching import LedgerProvenance
from nixcache.errors import TransientError
from protocol.keys import CacheNarInfoKey
from protocol.settings import ResignSettings

SERVICE: Final = "resign"
AT_ONCE: Final = CONNECTIONS - 2
"""Narinfos of a batch in the air at once: each is two short requests, one after the other. NARs have what is left."""

ROUNDS: Final = 4
"""Narinfos that meet trouble are tried again beside each other. A batch that came again as a whole would be read again
as a whole, and among its thousand requests there would be the next one that fails."""


class Batch:
    """One batch under way: all that can be done is done, whatever becomes of a single narinfo."""

    def __init__(self, resigner: Resigner, log: EventLog) -> None:
        self._resigner = resigner
        self._log = log

    def run(self, keys: tuple[CacheNarInfoKey, ...]) -> Counter[Outcome]:
        """Return how many ended how; raises :class:`TransientError`, after all others, if one has met trouble."""
        counts: Counter[Outcome] = Counter()
        left: Sequence[CacheNarInfoKey] = keys
        troubles: list[TransientError] = []
        for _ in range(ROUNDS):
            with ThreadPoolExecutor(AT_ONCE) as pool:
                endings = list(pool.map(self._resign, left))
            counts.update(ending.outcome for ending in endings if isinstance(ending, Ending))
            troubles = [ending for ending in endings if isinstance(ending, TransientError)]
            left = [key for key, ending in zip(left, endings, strict=True) if isinstance(ending, TransientError)]
            # Where nothing works at all, AWS or the time is at fault: Step Functions waits longer than this could.
            if not left or len(left) == len(keys):
                break
        self._log.write(
            "batch re-signed",
            {"troubles": len(left)},
            metrics=[
                # No dimension of its own: each would be a metric to pay for.
                Metric(name, counts[outcome])
                for name, outcome in (
                    ("Resigned", Outcome.SIGNED),
                    ("ResignedBefore", Outcome.UNCHANGED),
                    ("ResignedGone", Outcome.GONE),
                    ("NotResigned", Outcome.NOT_SIGNED),
                )
            ],
        )
        if left:
            raise TransientError(f"{len(left)} of {len(keys)} narinfos met trouble; one: {troubles[0]}")
        return counts

    def _resign(self, key: CacheNarInfoKey) -> Ending | TransientError:
        try:
            ending = self._resigner.resign(key)
        except TransientError as error:
            return error
        if ending.outcome is Outcome.NOT_SIGNED:
            self._log.write(
                "narinfo not re-signed",
                {"key": str(key), "reason": ending.reason, "problem": ending.problem},
                level=Level.ERROR,
            )
        return ending


def handle(
    event: Mapping[str, object], settings: ResignSettings, clients: Clients, turn: Turn, log: EventLog
) -> dict[str, int]:
    """Re-sign a batch; returns how many had to be left as they are, if any.

    Nothing else: what all batches return has to fit into 256 KB, and the other numbers are metrics. Raises
    :class:`TransientError` when the batch has to come again, and :class:`PermanentError` for a wrong request.
    """
    request = Request.parse(event)
    ring = KeyRing.read(SigningSecret(clients.secrets, settings.signing_secret_id))
    ring.check(request)
    narinfos = S3NarInfos(clients.s3, settings.cache_bucket)
    provenance = LedgerProvenance(clients.s3, settings.ledger_bucket)
    counts = Batch(Resigner(narinfos, provenance, ring, request, settings.store_dir, turn), log).run(request.keys)
    return {"notSigned": counts[Outcome.NOT_SIGNED]} if counts[Outcome.NOT_SIGNED] else {}


def handler(event: Mapping[str, object], context: Context) -> dict[str, int]:
    """See :func:`handle`."""
    settings = ResignSettings.from_environment(os.environ)
    turn = Deadline(lambda: context.get_remaining_time_in_millis() / 1000).begin()
    return handle(event, settings, Clients.connect(), turn, EventLog(service=SERVICE, stage=settings.stage))
