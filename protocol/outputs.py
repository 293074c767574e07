"""The names under which a deployed stack tells what it made; the operator's command line finds everything by them."""

from __future__ import annotations

from enum import StrEnum

from protocol.keys import BuilderName


class Output(StrEnum):
    """An output of the stack."""

    STAGING_BUCKET = "StagingBucket"
    CACHE_BUCKET = "CacheBucket"
    LEDGER_BUCKET = "LedgerBucket"
    INGEST_QUEUE_URL = "IngestQueueUrl"
    DEAD_LETTER_QUEUE_URL = "DeadLetterQueueUrl"
    SIGNING_SECRET_NAME = "SigningSecretName"  # noqa: S105  a name of it
    KEY_FUNCTION_NAME = "KeyFunctionName"
    RESIGNING_STATE_MACHINE = "ResigningStateMachine"
    DISTRIBUTION_ID = "DistributionId"
    CACHE_URL = "CacheUrl"
    DISTRIBUTION_DOMAIN_NAME = "DistributionDomainName"
    READERS_STORE_ARN = "ReadersStoreArn"


def describe_role(name: BuilderName) -> str:
    """Return the description of the output that holds a builder's role; its name is a logical id."""
    return f"What the builder {name} assumes"


def stack_name(stage: str) -> str:
    """Return the name of a stage's stack."""
    return f"Assay-{stage}"
