"""What the stack makes in an AWS account, made in moto: buckets, queues, notification, secret, identities."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local.aws import ACCOUNT, REGION, UNCHECKED, Aws, Credentials
from nixcache.signature import PublicKey
from nixcache.signing import SecretKey
from nixcache.store_path import StoreDir
from protocol.delivery import MAX_RECEIVE_COUNT, VISIBILITY_TIMEOUT_SECONDS
from protocol.keys import (
    NARINFO_SUFFIX,
    NIX_CACHE_INFO_KEY,
    ORPHANS_PREFIX,
    PROVENANCE_PREFIX,
    RESULTS_PREFIX,
    VOTES_PREFIX,
    WAITING_PREFIX,
    WITHDRAWN_KEY,
    BuilderName,
)
from protocol.settings import IngestSettings, Upstream

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType

STAGING_BUCKET = "assay-staging"
CACHE_BUCKET = "assay-cache"
LEDGER_BUCKET = "assay-ledger"
_QUEUE = "assay-ingest"
_DEAD_LETTER_QUEUE = "assay-ingest-dead-letters"
_SIGNING_SECRET = "assay/local/signing-key"  # noqa: S105 - the secret's name
_KEY_NAME = "assay-local-1"

Statement = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What was made, and the identities that may use it."""

    settings: IngestSettings
    queue_arn: str
    dead_letter_queue_url: str
    public_key: PublicKey
    builders: Mapping[BuilderName, Credentials]
    ingest: Credentials
    """The function's role; the event source, too, acts by it, as in AWS."""
    reader: Credentials
    """The CDN."""
    operator: Credentials
    """Allowed everything: for whoever looks into the buckets."""


def provision(
    aws: Aws,
    *,
    store_dir: StoreDir,
    builders: Iterable[BuilderName],
    max_nar_size: int,
    upstreams: tuple[Upstream, ...],
    first_retry_seconds: int,
    policy_file: str,
) -> Deployment:
    """Make everything, then turn IAM on.

    ``max_nar_size`` is in bytes, ``first_retry_seconds`` and ``policy_file`` as in :class:`IngestSettings`.
    """
    sqs = aws.client("sqs", UNCHECKED)
    dead_letter_queue_url, dead_letter_queue_arn = _create_queue(sqs, _DEAD_LETTER_QUEUE)
    redrive = {"deadLetterTargetArn": dead_letter_queue_arn, "maxReceiveCount": MAX_RECEIVE_COUNT}
    queue_url, queue_arn = _create_queue(
        sqs, _QUEUE, {"VisibilityTimeout": str(VISIBILITY_TIMEOUT_SECONDS), "RedrivePolicy": json.dumps(redrive)}
    )
    _create_buckets(aws, queue_arn)

    # The one place outside an operator's own hands where the key is made: a key that lives as long as moto does.
    secret_key = SecretKey.generate(_KEY_NAME)
    aws.client("secretsmanager", UNCHECKED).create_secret(Name=_SIGNING_SECRET, SecretString=secret_key.reveal())

    iam = aws.client("iam", UNCHECKED)
    deployment = Deployment(
        settings=IngestSettings(
            store_dir=store_dir,
            first_retry_seconds=first_retry_seconds,
            staging_bucket=STAGING_BUCKET,
            cache_bucket=CACHE_BUCKET,
            ledger_bucket=LEDGER_BUCKET,
            queue_url=queue_url,
            signing_secret_id=_SIGNING_SECRET,
            policy_file=policy_file,
            max_nar_size=max_nar_size,
            upstreams=upstreams,
        ),
        queue_arn=queue_arn,
        dead_letter_queue_url=dead_letter_queue_url,
        public_key=secret_key.public_key,
        builders={builder: _create_identity(iam, f"builder-{builder}", builder_may(builder)) for builder in builders},
        ingest=_create_identity(iam, "ingest", INGEST_MAY),
        reader=_create_identity(iam, "reader", [_allow(["s3:GetObject"], [_objects(CACHE_BUCKET)])]),
        operator=_create_identity(iam, "operator", [_allow(["*"], ["*"])]),
    )
    aws.enforce_iam()
    return deployment


def _create_queue(
    sqs: SQSClient, name: str, attributes: Mapping[QueueAttributeNameType, str] | None = None
) -> tuple[str, str]:
    """Return the new queue's URL and ARN."""
    url = sqs.create_queue(QueueName=name, Attributes=attributes or {})["QueueUrl"]
    return url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def _create_buckets(aws: Aws, queue_arn: str) -> None:
    s3 = aws.client("s3", UNCHECKED)
    for bucket in (STAGING_BUCKET, CACHE_BUCKET, LEDGER_BUCKET):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket=STAGING_BUCKET,
        NotificationConfiguration={
            "QueueConfigurations": [
                {
                    "QueueArn": queue_arn,
                    "Events": ["s3:ObjectCreated:*"],
                    "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": NARINFO_SUFFIX}]}},
                }
            ]
        },
    )


def _create_identity(iam: IAMClient, name: str, statements: Sequence[Statement]) -> Credentials:
    """Make a user with an access key; the users stand for the stack's roles."""
    iam.create_user(UserName=name)
    iam.put_user_policy(
        UserName=name,
        PolicyName="may",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}),
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def _allow(actions: Sequence[str], resources: Sequence[str]) -> Statement:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _objects(bucket: str, prefix: str = "") -> str:
    return f"arn:aws:s3:::{bucket}/{prefix}*"


def builder_may(builder: BuilderName) -> list[Statement]:
    """I8: write below its own prefix, read its own results, and nothing else. stacks/builder_role.py."""
    return [
        _allow(["s3:PutObject", "s3:AbortMultipartUpload"], [_objects(STAGING_BUCKET, builder.staging_prefix)]),
        _allow(["s3:GetObject"], [f"arn:aws:s3:::{STAGING_BUCKET}/{builder.staging_prefix}{NIX_CACHE_INFO_KEY}"]),
        _allow(["s3:GetObject"], [_objects(LEDGER_BUCKET, builder.results_prefix)]),
    ]


INGEST_MAY: Sequence[Statement] = [
    _allow(["s3:GetObject", "s3:GetObjectVersion"], [_objects(STAGING_BUCKET)]),
    _allow(["s3:ListBucket", "s3:ListBucketVersions"], [f"arn:aws:s3:::{STAGING_BUCKET}"]),
    _allow(["s3:ListBucket"], [f"arn:aws:s3:::{bucket}" for bucket in (CACHE_BUCKET, LEDGER_BUCKET)]),
    _allow(
        ["s3:GetObject", "s3:PutObject"],
        [f"arn:aws:s3:::{CACHE_BUCKET}/{key}" for key in (f"*{NARINFO_SUFFIX}", "*.ls", "nar/*", NIX_CACHE_INFO_KEY)],
    ),
    _allow(
        ["s3:GetObject", "s3:PutObject"],
        [_objects(LEDGER_BUCKET, prefix) for prefix in (RESULTS_PREFIX, PROVENANCE_PREFIX, VOTES_PREFIX)],
    ),
    _allow(["s3:PutObject"], [_objects(LEDGER_BUCKET, ORPHANS_PREFIX)]),
    _allow(["s3:PutObject", "s3:DeleteObject"], [_objects(LEDGER_BUCKET, WAITING_PREFIX)]),
    _allow(["s3:GetObject"], [f"arn:aws:s3:::{LEDGER_BUCKET}/{WITHDRAWN_KEY}"]),
    # DeleteObjects, which moto asks for on the bucket as a whole, and AWS on each object.
    _allow(["s3:DeleteObject"], [f"arn:aws:s3:::{LEDGER_BUCKET}"]),
    # moto looks at the resource of S3 requests only, and has names of its own for batches, which AWS does not.
    _allow(
        [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage*",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:SendMessage*",
            "sqs:ChangeMessageVisibility",
        ],
        ["*"],
    ),
    _allow(["secretsmanager:GetSecretValue"], ["*"]),
]
"""What the function may. stacks/ingest_role.py, less what moto does not have; a test holds one against the other.

Written again and not taken from there: to ask the CDK takes seconds, and whoever starts a local Assay waits for them.
"""
