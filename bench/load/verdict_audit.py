"""Whether every submission has the verdict that it must have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from bench.load.complaints import Complaints
from bench.load.queues import Queues
from bench.load.send import Sent
from local.service import LocalService
from nixcache.hashes import Hash
from nixcache.store_path import HashPart
from protocol.results import Result
from protocol.verdicts import Conflict, Duplicate, Published, Rejected

_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class Told:
    """A submission, and what its builder was told."""

    sent: Sent
    result: Result


def read_results(service: LocalService, submissions: Sequence[Sent], complaints: Complaints) -> tuple[Told, ...]:
    """Return all results; none may be missing, and no message may be left."""
    queues = Queues(service)
    complaints.expect(queues.depth == 0, "the queue is not empty")
    complaints.expect(queues.dead_letters == 0, f"{queues.dead_letters} messages are dead letters")
    s3 = service.aws.client("s3", service.deployment.operator)
    bucket = service.deployment.settings.ledger_bucket

    def read(sent: Sent) -> Told | None:
        key = str(sent.planned.result_key)
        try:
            data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            complaints.expect(holds=False, otherwise=f"{key} is lost: there is no result")
            return None
        result = Result.from_json(data)
        complaints.expect(result.version_id == sent.version_id, f"{key} is about another version")
        return Told(sent, result)

    with ThreadPoolExecutor(_THREADS) as pool:
        return tuple(told for told in pool.map(read, submissions) if told is not None)


def check_verdicts(told: Iterable[Told], complaints: Complaints) -> dict[HashPart, Told]:
    """Compare each verdict with the one that is due; return those that were published."""
    rivals: defaultdict[HashPart, list[Told]] = defaultdict(list)
    for one in told:
        planned, verdict = one.sent.planned, one.result.verdict
        if planned.code is None:
            rivals[planned.key.hash_part].append(one)
        else:
            is_right = isinstance(verdict, Rejected) and verdict.code == planned.code
            complaints.expect(is_right, f"{planned.key} should be rejected ({planned.code}), and is {verdict}")
    published: dict[HashPart, Told] = {}
    for hash_part, submissions in rivals.items():
        winners = [one for one in submissions if isinstance(one.result.verdict, Published)]
        verdicts = [one.result.verdict for one in submissions]
        complaints.expect(len(winners) == 1, f"{hash_part} is published {len(winners)} times: {verdicts}")
        if winners:
            published[hash_part] = winners[0]
            _check_losers(winners[0], submissions, complaints)
    return published


def _check_losers(winner: Told, rivals: Sequence[Told], complaints: Complaints) -> None:
    """Who agrees with the winner is a duplicate; who does not is a conflict, and the winner is told of it."""
    nar_hash = _nar_hash(winner)
    contradicting = {_nar_hash(one) for one in rivals} - {nar_hash}
    key = winner.sent.planned.key
    complaints.expect(set(winner.result.disputed_by) == contradicting, f"{key} is not told of its conflicts")
    for one in rivals:
        if one is not winner:
            due = Duplicate() if _nar_hash(one) == nar_hash else Conflict(nar_hash, _nar_hash(one))
            verdict = one.result.verdict
            complaints.expect(verdict == due, f"{one.sent.planned.key} should be {due}, and is {verdict}")


def _nar_hash(told: Told) -> Hash:
    return told.sent.planned.uploaded.narinfo.nar_hash
