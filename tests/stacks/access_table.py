"""Who may do what: the whole table, as data.

A pair says for one principal and one action on one resource, under some conditions, whether it is allowed. It names
principals and resources by their part in the deployment (``builder ci``, ``staging``), never by an ARN: so the table
can be held against the policies of a template, and, pair by pair, be tried over the wire where something is deployed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, TypeAlias

from protocol.keys import WITHDRAWN_KEY

Context: TypeAlias = tuple[tuple[str, str], ...]
"""IAM's condition keys and their values."""

HASH_PART: Final = "0123456789abcdfghijklmnpqrsvwxyz"
OTHER_HASH_PART: Final = "zyxwvsrqpnmlkjihgfdcba9876543210"
NAR_FILE: Final = f"{'0' * 52}.nar.zst"

BUCKETS: Final = ("staging", "cache", "ledger", "logs")
QUEUES: Final = ("ingest queue", "dead letters")
SECRET: Final = "signing secret"

ADMINISTRATOR: Final = "administrator"
"""Whoever may do everything in the account."""
NOBODY: Final = "nobody"
"""A role of the account without any policy."""
ELSEWHERE: Final = "administrator of another account"
ANYBODY: Final = "anybody"
"""Whoever signs no request."""
INGEST: Final = "ingest"


def builder(name: str) -> str:
    """Return what a builder is called in the table."""
    return f"builder {name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """A bucket, queue, secret, function or role, and in a bucket maybe an object."""

    name: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.name}/{self.key}" if self.key else self.name


@dataclass(frozen=True, slots=True)
class Pair:
    """``principal`` doing ``action`` on ``resource``; ``context`` has IAM's condition keys."""

    principal: str
    action: str
    resource: Resource
    allowed: bool
    why: str
    context: Context = ()

    def __str__(self) -> str:
        verdict = "may" if self.allowed else "may not"
        given = f" with {dict(self.context)}" if self.context else ""
        return f"{self.principal} {verdict} {self.action} on {self.resource}{given}: {self.why}"


def whole_table(builders: Sequence[str]) -> Iterator[Pair]:
    """Yield every pair for a deployment with ``builders``, of which no name may be left out."""
    for name in builders:
        yield from builder_pairs(name, [other for other in builders if other != name])
    yield from write_once_pairs([ADMINISTRATOR, INGEST, NOBODY, ELSEWHERE, *map(builder, builders)])
    yield from secret_pairs([ADMINISTRATOR, NOBODY, ELSEWHERE, ANYBODY])
    for outsider in (NOBODY, ELSEWHERE, ANYBODY):
        yield from outsider_pairs(outsider, builders)


# --------------------------------------------------------------------------------------------------------- a builder

_NEW: Final = (("s3:if-none-match", "*"),)
_OBJECT_ACTIONS: Final = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteObject",
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersion",
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:GetObjectAttributes",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:ListMultipartUploadParts",
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectTagging",
    "s3:RestoreObject",
)
"""What can be done with an object besides writing it, and giving up to write it."""
_WRITING: Final = ("s3:PutObject", "s3:AbortMultipartUpload")
_BUCKET_ACTIONS: Final = (
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:GetBucketLocation",
    "s3:GetBucketNotification",
    "s3:GetBucketPolicy",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:PutBucketAcl",
    "s3:PutBucketLogging",
    "s3:PutBucketNotification",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutReplicationConfiguration",
)
_QUEUE_ACTIONS: Final = (
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:DeleteQueue",
    "sqs:GetQueueAttributes",
    "sqs:PurgeQueue",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
    "sqs:SetQueueAttributes",
    "sqs:StartMessageMoveTask",
)
_SECRET_ACTIONS: Final = (
    "secretsmanager:DeleteResourcePolicy",
    "secretsmanager:DeleteSecret",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetResourcePolicy",
    "secretsmanager:GetSecretValue",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:PutResourcePolicy",
    "secretsmanager:PutSecretValue",
    "secretsmanager:RotateSecret",
    "secretsmanager:UpdateSecret",
    "secretsmanager:UpdateSecretVersionStage",
)
_FUNCTION_ACTIONS: Final = (
    "lambda:GetFunction",
    "lambda:InvokeFunction",
    "lambda:UpdateFunctionCode",
    "lambda:UpdateFunctionConfiguration",
)
_ROLE_ACTIONS: Final = (
    "iam:AttachRolePolicy",
    "iam:DeleteRolePolicy",
    "iam:GetRole",
    "iam:PassRole",
    "iam:PutRolePolicy",
    "iam:UpdateAssumeRolePolicy",
    "sts:AssumeRole",
)


_PUBLISHED: Final = (
    f"{HASH_PART}.narinfo",
    f"{HASH_PART}.ls",
    f"nar/{NAR_FILE}",
    "nix-cache-info",
    "public-keys",
    "index.html",
)
"""Keys of the cache, of every kind."""


def _staging_keys(name: str) -> tuple[str, ...]:
    """Keys of every kind that a builder uploads."""
    return (f"{name}/{HASH_PART}.narinfo", f"{name}/nar/{NAR_FILE}", f"{name}/log/{HASH_PART}-hello.drv")


def _almost(name: str) -> Iterator[tuple[str, str]]:
    """Yield what looks like the prefix of ``name`` to somebody, and is not, and why."""
    if name.upper() != name:
        yield f"{name.upper()}/", "keys tell upper from lower case"
    yield f"{name}-1/", "a name that begins like this one"
    yield f"{name}1/", "a name that begins like this one"
    yield f"{name[:-1]}/", "a name that is the beginning of this one"
    yield f"{name}", "no slash between prefix and name"
    yield f"{name}%2F", "an escaped slash is none"
    yield f"{name} /", "a blank"
    yield f"{name}\\", "another slash"
    yield f"/{name}/", "a slash before"
    yield f"./{name}/", "a key is no path"
    yield f"x/../{name}/", "a key is no path"
    yield f"x/{name}/", "below another name"
    yield f"*/{name}/", "a star is a letter in a key"
    yield "", "outside every prefix"


def _denied(
    principal: str, actions: Iterable[str], resources: Iterable[Resource], why: str, contexts: Iterable[Context] = ((),)
) -> Iterator[Pair]:
    """Yield every combination, denied."""
    for action, resource, context in product(actions, resources, contexts):
        yield Pair(principal, action, resource, allowed=False, why=why, context=context)


def _in(bucket: str, keys: Iterable[str]) -> list[Resource]:
    return [Resource(bucket, key) for key in keys]


def _listing(*prefixes: str) -> list[Context]:
    return [(("s3:prefix", prefix),) for prefix in prefixes]


def builder_pairs(name: str, others: Iterable[str]) -> Iterator[Pair]:
    """Yield what one builder may do, and everything else that it might try (I8)."""
    others = tuple(others)
    yield from _may(name)
    yield from _may_not_under_other_names(name, others)
    yield from _may_not_with_its_submissions(name)
    yield from _may_not_in_the_ledger(name, others)
    yield from _may_not_in_the_cache(name)
    yield from _may_not_elsewhere(name, others)


def _may(name: str) -> Iterator[Pair]:
    me = builder(name)
    for key in (*_staging_keys(name), f"{name}/nix-cache-info"):
        for action in _WRITING:
            yield Pair(me, action, Resource("staging", key), allowed=True, why="uploads below its own prefix")
    nar = Resource("staging", f"{name}/nar/{NAR_FILE}")
    for header in (("s3:x-amz-storage-class", "STANDARD"), ("s3:x-amz-server-side-encryption", "AES256")):
        yield Pair(me, "s3:PutObject", nar, allowed=True, why="says what is the default", context=(header,))
    cache_info = Resource("staging", f"{name}/nix-cache-info")
    yield Pair(me, "s3:GetObject", cache_info, allowed=True, why="Nix's own store asks first")
    result = f"results/{name}/{HASH_PART}.json"
    yield Pair(me, "s3:GetObject", Resource("ledger", result), allowed=True, why="reads its own results")
    for context in _listing(result, f"results/{name}/"):
        why = "is told what is missing"
        yield Pair(me, "s3:ListBucket", Resource("ledger"), allowed=True, why=why, context=context)


def _may_not_under_other_names(name: str, others: Sequence[str]) -> Iterator[Pair]:
    me = builder(name)
    theirs = [key for other in others for key in (*_staging_keys(other), f"{other}/nix-cache-info")]
    yield from _denied(me, (*_WRITING, *_OBJECT_ACTIONS), _in("staging", theirs), "another builder's")
    for prefix, why in _almost(name):
        uploads = [f"{prefix}{HASH_PART}.narinfo", f"{prefix}nar/{NAR_FILE}"]
        yield from _denied(me, _WRITING, _in("staging", uploads), why)
        yield from _denied(me, ["s3:GetObject"], _in("staging", [f"{prefix}nix-cache-info"]), why)


def _may_not_with_its_submissions(name: str) -> Iterator[Pair]:
    me = builder(name)
    keys = _staging_keys(name)
    yield from _denied(me, _OBJECT_ACTIONS, _in("staging", keys), "a submission is judged as it was sent")
    but_reading = [action for action in _OBJECT_ACTIONS if action != "s3:GetObject"]
    yield from _denied(me, but_reading, _in("staging", [f"{name}/nix-cache-info"]), "reads it, and nothing more")
    unreadable: list[Context] = [
        (("s3:x-amz-storage-class", "GLACIER"),),
        (("s3:x-amz-storage-class", "DEEP_ARCHIVE"),),
        (("s3:x-amz-storage-class", "REDUCED_REDUNDANCY"),),
        (("s3:x-amz-server-side-encryption", "aws:kms"),),
        (("s3:x-amz-server-side-encryption", "aws:kms:dsse"),),
        (("s3:x-amz-server-side-encryption-customer-algorithm", "AES256"),),
    ]
    yield from _denied(me, ["s3:PutObject"], _in("staging", keys), "what ingest could not read", unreadable)
    overheard: list[Context] = [(("aws:SecureTransport", "false"),), (("s3:TlsVersion", "1.1"),)]
    yield from _denied(me, ["s3:PutObject"], _in("staging", keys), "what others could read or change", overheard)
    listing = _listing("", name, f"{name}/", f"{name}/nix-cache-info")
    why = "learns from its results what it has sent"
    yield from _denied(me, ["s3:ListBucket"], [Resource("staging")], why, listing)


def _may_not_in_the_ledger(name: str, others: Sequence[str]) -> Iterator[Pair]:
    me = builder(name)
    own = f"results/{name}/{HASH_PART}.json"
    but_reading = [action for action in _OBJECT_ACTIONS if action != "s3:GetObject"]
    yield from _denied(me, [*_WRITING, *but_reading], _in("ledger", [own]), "a verdict is ingest's")
    for prefix, why in _almost(name):
        keys = [f"results/{prefix}{HASH_PART}.json", f"{prefix}{HASH_PART}.json"]
        yield from _denied(me, ["s3:GetObject"], _in("ledger", keys), why)
    why = "another builder's results"
    theirs = [f"results/{other}/{HASH_PART}.json" for other in others]
    yield from _denied(me, ["s3:GetObject", "s3:GetObjectVersion", *_WRITING], _in("ledger", theirs), why)
    prefixes = _listing(*theirs, *(f"results/{other}/" for other in others))
    yield from _denied(me, ["s3:ListBucket"], [Resource("ledger")], why, prefixes)
    why = "the ledger is ingest's"
    documents = _in(
        "ledger",
        [
            f"provenance/{HASH_PART}.json",
            f"votes/{HASH_PART}/{name}.json",
            f"waiting/{OTHER_HASH_PART}/{name}/{HASH_PART}",
            f"orphans/{NAR_FILE}",
            WITHDRAWN_KEY,
            f"{name}/nar/{NAR_FILE}",
        ],
    )
    yield from _denied(me, (*_WRITING, *_OBJECT_ACTIONS), documents, why)
    yield from _denied(me, ["s3:PutObject"], documents, why, [_NEW])
    prefixes = _listing(
        "", "results", "results/", f"results/{name}", "votes/", "waiting/", "provenance/", "orphans/", name
    )
    yield from _denied(me, ["s3:ListBucket"], [Resource("ledger")], "sees nothing but its own", prefixes)


def _may_not_in_the_cache(name: str) -> Iterator[Pair]:
    me = builder(name)
    why = "nobody publishes but ingest"
    objects = _in("cache", [*_PUBLISHED, f"{name}/{HASH_PART}.narinfo", f"results/{name}/{HASH_PART}.json"])
    yield from _denied(me, (*_WRITING, *_OBJECT_ACTIONS), objects, why)
    yield from _denied(me, ["s3:PutObject"], objects, why, [_NEW])
    prefixes = _listing("", f"{name}/", f"results/{name}/")
    yield from _denied(me, ["s3:ListBucket"], [Resource("cache")], "the cache is read over HTTP", prefixes)


def _may_not_elsewhere(name: str, others: Sequence[str]) -> Iterator[Pair]:
    me = builder(name)
    yield from _denied(me, _BUCKET_ACTIONS, map(Resource, BUCKETS), "buckets are the stack's")
    logs = _in("logs", [f"{name}/2026-11-23", "staging/2026-11-23"])
    yield from _denied(me, (*_WRITING, *_OBJECT_ACTIONS), logs, "logs are nobody's")
    yield from _denied(me, _QUEUE_ACTIONS, map(Resource, QUEUES), "S3 alone says what was uploaded")
    yield from _denied(me, _FUNCTION_ACTIONS, [Resource("function ingest")], "S3 alone says what was uploaded")
    yield from _denied(me, _SECRET_ACTIONS, [Resource(SECRET)], "the key is ingest's")
    roles = [Resource(f"role {role}") for role in (ADMINISTRATOR, INGEST, me, *map(builder, others))]
    yield from _denied(me, _ROLE_ACTIONS, roles, "it is what it is")


# ------------------------------------------------------------------------------------------------- everybody, nobody

_REPLACING: Final[tuple[Context, ...]] = (
    (),
    (("s3:if-match", '"etag"'),),
    (("s3:x-amz-storage-class", "STANDARD"),),
)


def write_once_pairs(principals: Iterable[str]) -> Iterator[Pair]:
    """Yield that nobody replaces a published narinfo or a vote (I3): S3 holds everybody to it."""
    narinfos = _in("cache", [f"{HASH_PART}.narinfo", f"{OTHER_HASH_PART}.narinfo"])
    resources = [*narinfos, Resource("ledger", f"votes/{HASH_PART}/ci.json")]
    for principal in principals:
        why = "what is published is never replaced"
        yield from _denied(principal, ["s3:PutObject"], resources, why, _REPLACING)
    for principal, resource in product((ADMINISTRATOR, INGEST), resources):
        why = "what is not there yet may be written"
        yield Pair(principal, "s3:PutObject", resource, allowed=True, why=why, context=_NEW)


def secret_pairs(principals: Iterable[str]) -> Iterator[Pair]:
    """Yield that no human reads the key, whatever else they may do in the account (I8)."""
    reading, secret = "secretsmanager:GetSecretValue", Resource(SECRET)
    yield Pair(INGEST, reading, secret, allowed=True, why="signs")
    for principal in principals:
        yield Pair(principal, reading, secret, allowed=False, why="no human sees the key")
    yield Pair(ADMINISTRATOR, "secretsmanager:PutSecretValue", secret, allowed=True, why="imports an existing key")


def outsider_pairs(principal: str, builders: Iterable[str]) -> Iterator[Pair]:
    """Yield that whoever is no part of the deployment may do nothing with it."""
    why = "no part of the deployment"
    builders = tuple(builders)
    # The cache, too: readers come through the content delivery network.
    objects = [
        *_in("staging", [key for name in builders for key in _staging_keys(name)]),
        *_in("ledger", [f"results/{name}/{HASH_PART}.json" for name in builders]),
        *_in("cache", _PUBLISHED),
    ]
    yield from _denied(principal, (*_WRITING, *_OBJECT_ACTIONS), objects, why)
    yield from _denied(principal, ["s3:PutObject"], _in("cache", _PUBLISHED), why, [_NEW])
    yield from _denied(principal, _BUCKET_ACTIONS, map(Resource, BUCKETS), why)
    yield from _denied(principal, _QUEUE_ACTIONS, map(Resource, QUEUES), why)
    yield from _denied(principal, _SECRET_ACTIONS, [Resource(SECRET)], why)
    yield from _denied(principal, _FUNCTION_ACTIONS, [Resource("function ingest")], why)
