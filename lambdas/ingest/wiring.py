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
from lambdas.ingest.delivery import Delivery
from lambdas.ingest.use_case import Ingest
from nixcache.verify import Limits
from protocol.settings import IngestSettings


def build_delivery(settings: IngestSettings, clients: Clients) -> Delivery:
    """Put ingest together for one container; sends nothing yet."""
    telemetry = CloudWatch()
    queue = SqsQueue(clients.sqs, settings.queue_url)
    nar_copy = NarCopy(clients.s3, staging_bucket=settings.staging_bucket, cache_bucket=settings.cache_bucket)
    ingest = Ingest(
        staging=S3Staging(clients.s3, settings.staging_bucket),
        cache=S3Cache(clients.s3, settings.cache_bucket, settings.store_dir, nar_copy),
        ledger=S3Ledger(clients.s3, settings.ledger_bucket),
        queue=queue,
        signing_keys=SecretsManagerKeys(clients.secrets, settings.signing_secret_id),
        upstreams=HttpUpstreams(settings.upstreams, settings.store_dir, connections=CONNECTIONS),
        telemetry=telemetry,
        store_dir=settings.store_dir,
        limits=Limits(max_nar_size=settings.max_nar_size),
    )
    return Delivery(
        ingest,
        queue,
        telemetry,
        staging_bucket=settings.staging_bucket,
        first_retry_seconds=settings.first_retry_seconds,
    )
