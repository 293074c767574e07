"""The use case with AWS behind its ports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from lambdas.ingest.adapters.cache import S3Cache
from lambdas.ingest.adapters.clients import CONNECTIONS, Clients
from lambdas.ingest.adapters.ledger import S3Ledger
from lambdas.ingest.adapters.nar_copy import NarCopy
from lambdas.ingest.adapters.queue import SqsQueue
from lambdas.ingest.adapters.signing_keys import SecretsManagerKeys
from lambdas.ingest.adapters.staging import S3Staging
from lambdas.ingest.adapters.telemetry import CloudWatch
from lambdas.ingest.adapters.upstreams import HttpUpstreams
from lambdas.ingest.adapters.withdrawals import LedgerWithdrawals
from lambdas.ingest.closure import Closure
from lambdas.ingest.delivery import Delivery
from lambdas.ingest.gate import Gate
from lambdas.ingest.judge import Judge
from lambdas.ingest.lookup import Lookup
from lambdas.ingest.notary import Notary
from lambdas.ingest.publish import Publisher
from lambdas.ingest.quorum import Quorum
from lambdas.ingest.reference_judge import ReferenceJudge
from lambdas.ingest.results_book import ResultsBook
from lambdas.ingest.teller import Teller
from lambdas.ingest.use_case import Ingest
from lambdas.ingest.waiting import WaitingRoom
from lambdas.ingest.withdrawal import WithdrawalGuard
from nixcache.verify import Limits
from protocol.policy import SubmissionPolicy
from protocol.settings import IngestSettings


def build_delivery(
    settings: IngestSettings,
    policy: SubmissionPolicy,
    clients: Clients,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Delivery:
    """Put ingest together for one container; sends nothing yet."""
    telemetry = CloudWatch(settings.stage)
    queue = SqsQueue(clients.sqs, settings.queue_url)
    staging = S3Staging(clients.s3, settings.staging_bucket)
    nar_copy = NarCopy(clients.s3, staging_bucket=settings.staging_bucket, cache_bucket=settings.cache_bucket)
    cache = S3Cache(clients.s3, settings.cache_bucket, settings.store_dir, nar_copy)
    ledger = S3Ledger(clients.s3, settings.ledger_bucket)
    upstreams = HttpUpstreams(settings.upstreams, settings.store_dir, connections=CONNECTIONS)
    upstream_keys = [key for upstream in settings.upstreams for key in upstream.public_keys]
    signing_keys = SecretsManagerKeys(
        clients.secrets, settings.signing_secret_id, overlap=timedelta(days=settings.key_overlap_days), now=now
    )
    lookup = Lookup(cache, upstreams)
    withdrawal_guard = WithdrawalGuard(LedgerWithdrawals(clients.s3, settings.ledger_bucket), lookup)
    max_waiting = timedelta(seconds=settings.max_waiting_seconds)
    waiting_room = WaitingRoom(Gate(lookup), ledger, queue, max_waiting=max_waiting, now=now)
    results = ResultsBook(ledger, staging)
    quorum = Quorum(policy, ledger, results, waiting_room, now)
    judge = Judge(
        staging=staging,
        cache=cache,
        upstreams=None if settings.publish_upstream_paths else upstreams,
        waiting_room=waiting_room,
        reference_judge=ReferenceJudge(settings.references, Closure(lookup)),
        quorum=quorum,
        publisher=Publisher(cache, ledger, signing_keys, upstream_keys, withdrawal_guard),
        policy=policy,
        limits=Limits(max_nar_size=settings.max_nar_size, max_expansion=settings.max_expansion),
        telemetry=telemetry,
    )
    notary = Notary(
        ledger=ledger,
        staging=staging,
        signing_keys=signing_keys,
        quorum=quorum,
        references=settings.references,
        now=now,
    )
    teller = Teller(notary=notary, results=results, waiting_room=waiting_room, telemetry=telemetry, now=now)
    return Delivery(
        Ingest(staging=staging, judge=judge, teller=teller, store_dir=settings.store_dir),
        queue,
        telemetry,
        staging_bucket=settings.staging_bucket,
        first_retry_seconds=settings.first_retry_seconds,
    )
