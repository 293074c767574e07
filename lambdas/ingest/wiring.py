"""The use case with AWS behind its ports."""

from __future__ import annotations

from lambdas.ingest.adapters.cache import S3Cache
from lambdas.ingest.adapters.clients import CONNECTIONS, Clients
from lambdas.ingest.adapters.ledger import S3Ledger
from lambdas.ingest.adapters.nar_copy import NarCopy
from lambdas.ingest.adapters.queue import SqsQueue
from lambdas.ingest.adapters.signing_keys import SecretsManagerKeys
from lambdas.ingest.adapters.staging import S3Staging
from lambdas.ingest.adapters.telemetry import CloudWatch
from lambdas.ingest.adapters.upstreams import HttpUpstreams
from lambdas.ingest.closure import Closure
from lambdas.ingest.delivery import Delivery
from lambdas.ingest.gate import Gate
from lambdas.ingest.lookup import Lookup
from lambdas.ingest.publish import Publisher
from lambdas.ingest.reference_judge import ReferenceJudge
from lambdas.ingest.use_case import Ingest
from lambdas.ingest.waiting import WaitingRoom
from nixcache.verify import Limits
from protocol.settings import IngestSettings


def build_delivery(settings: IngestSettings, clients: Clients) -> Delivery:
    """Put ingest together for one container; sends nothing yet."""
    telemetry = CloudWatch()
    queue = SqsQueue(clients.sqs, settings.queue_url)
    nar_copy = NarCopy(clients.s3, staging_bucket=settings.staging_bucket, cache_bucket=settings.cache_bucket)
    cache = S3Cache(clients.s3, settings.cache_bucket, settings.store_dir, nar_copy)
    ledger = S3Ledger(clients.s3, settings.ledger_bucket)
    lookup = Lookup(cache, HttpUpstreams(settings.upstreams, settings.store_dir, connections=CONNECTIONS))
    signing_keys = SecretsManagerKeys(clients.secrets, settings.signing_secret_id)
    upstream_keys = [key for upstream in settings.upstreams for key in upstream.public_keys]
    ingest = Ingest(
        staging=S3Staging(clients.s3, settings.staging_bucket),
        cache=cache,
        ledger=ledger,
        telemetry=telemetry,
        waiting_room=WaitingRoom(Gate(lookup), ledger, queue),
        reference_judge=ReferenceJudge(settings.references, Closure(lookup)),
        publisher=Publisher(cache, signing_keys, upstream_keys),
        store_dir=settings.store_dir,
        limits=Limits(max_nar_size=settings.max_nar_size, max_expansion=settings.max_expansion),
    )
    return Delivery(
        ingest,
        queue,
        telemetry,
        staging_bucket=settings.staging_bucket,
        first_retry_seconds=settings.first_retry_seconds,
    )
