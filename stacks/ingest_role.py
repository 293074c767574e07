"""What ingest may do."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from protocol.keys import (
    NARINFO_SUFFIX,
    NIX_CACHE_INFO_KEY,
    ORPHANS_PREFIX,
    PROVENANCE_PREFIX,
    RESULTS_PREFIX,
    VOTES_PREFIX,
    WAITING_PREFIX,
    WITHDRAWN_KEY,
)
from stacks.ingest_queue import IngestQueue
from stacks.nag import acknowledge_wildcard
from stacks.signing_secret import SigningSecret


class IngestRole(iam.Role):
    """The role that reads the signing key and publishes.

    Two more read the key, each for a reason of its own: the key function, which makes it, and the re-signer. This one
    can neither delete from the cache nor write to staging: taken over, it could still publish (it holds the key), but
    not unpublish, nor change what builders have sent.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        staging: s3.IBucket,
        cache: s3.IBucket,
        ledger: s3.IBucket,
        queue: IngestQueue,
        secret: SigningSecret,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id, assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self._allow(
            "ReadSubmissions",
            ["s3:GetObject", "s3:GetObjectVersion"],
            [staging.arn_for_objects("*")],
            wildcard="Staging holds submissions and nothing else, and ingest judges those of every builder.",
        )
        self._allow(
            "PublishAndLookUp",
            ["s3:GetObject", "s3:PutObject"],
            [cache.arn_for_objects(key) for key in (f"*{NARINFO_SUFFIX}", "*.ls", "nar/*", NIX_CACHE_INFO_KEY)],
            wildcard="A store object's keys come from its hashes; each wildcard is one kind of key.",
        )
        # Read, too: a document is written over the one that was read, or not at all.
        self._allow(
            "WriteVerdicts",
            ["s3:GetObject", "s3:PutObject"],
            [ledger.arn_for_objects(f"{prefix}*") for prefix in (RESULTS_PREFIX, PROVENANCE_PREFIX, VOTES_PREFIX)],
            wildcard="Any builder may submit any path; each wildcard is one kind of document.",
        )
        self._allow(
            "ListOrphans",
            ["s3:PutObject"],
            [ledger.arn_for_objects(f"{ORPHANS_PREFIX}*")],
            wildcard="Any NAR may lose a race.",
        )
        self._allow(
            "MarkWaiting",
            ["s3:PutObject", "s3:DeleteObject"],
            [ledger.arn_for_objects(f"{WAITING_PREFIX}*")],
            wildcard="Any path may be missing; a marker is the only thing that ingest deletes.",
        )
        # Written by an operator: what ingest could write, whoever took it over could let in again.
        self._allow("ReadWithdrawn", ["s3:GetObject"], [ledger.arn_for_objects(WITHDRAWN_KEY)])
        # Without ListBucket a missing key is answered with 403, and "not published" would look like trouble.
        self._allow("ListSubmissions", ["s3:ListBucket", "s3:ListBucketVersions"], [staging.bucket_arn])
        self._allow("ListPublishedAndWaiting", ["s3:ListBucket"], [cache.bucket_arn, ledger.bucket_arn])
        self._allow("WakeWaiting", ["sqs:SendMessage"], [queue.queue_arn])
        self._allow("ReadSigningKey", ["secretsmanager:GetSecretValue"], [secret.arn_pattern])
        self._allow("Log", ["logs:CreateLogStream", "logs:PutLogEvents"], [log_group.log_group_arn])
        acknowledge_wildcard(self, "*", because="X-Ray's PutTraceSegments and PutTelemetryRecords take no resource.")

    def _allow(self, sid: str, actions: list[str], resources: list[str], *, wildcard: str | None = None) -> None:
        """Allow ``actions`` on ``resources``; ``wildcard`` says why some of them end in one."""
        self.add_to_policy(iam.PolicyStatement(sid=sid, actions=actions, resources=resources))
        if wildcard is not None:
            for resource in resources:
                acknowledge_wildcard(self, resource, because=wildcard)
