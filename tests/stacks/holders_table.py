"""Who of everybody in the account may do what counts: for each deed, all that may do it, and nobody else.

The other way round than access_table.py: a role that somebody adds to the stack is asked every question here, and has
to be named on purpose where it may.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from protocol.keys import WITHDRAWN_KEY
from tests.stacks.access_table import HASH_PART, NAR_FILE, SECRET, Context, Resource

INGEST: Final = "IngestRole"
SWEEPER: Final = "SweeperRole"
KEYS: Final = "KeysRole"
RESIGN: Final = "ResigningRole"
SITE: Final = "DeliverySiteRole"
BUILDER_CI: Final = "Builderci"
_NEW: Final[Context] = (("s3:if-none-match", "*"),)
_AS_READ: Final[Context] = (("s3:if-match", '"etag"'),)


@dataclass(frozen=True, slots=True)
class Deed:
    """``roles``: logical ids, without CDK's hash, of the roles of the stack that may do it.

    ``administrator``: whether somebody may who may do everything in the account that nothing denies.
    """

    what: str
    action: str
    resource: Resource
    roles: frozenset[str] = frozenset()
    administrator: bool = True
    context: Context = field(default=())


def _roles(*names: str) -> frozenset[str]:
    return frozenset(names)


_NARINFO: Final = Resource("cache", f"{HASH_PART}.narinfo")
_NAR: Final = Resource("cache", f"nar/{NAR_FILE}")
_VOTE: Final = Resource("ledger", f"votes/{HASH_PART}/ci.json")
_RESULT: Final = Resource("ledger", f"results/ci/{HASH_PART}.json")
_SUBMISSION: Final = Resource("staging", f"ci/{HASH_PART}.narinfo")

DEEDS: Final = (
    Deed("publishes a narinfo", "s3:PutObject", _NARINFO, _roles(INGEST), context=_NEW),
    Deed("replaces a narinfo", "s3:PutObject", _NARINFO, administrator=False),
    Deed("re-signs a narinfo", "s3:PutObject", _NARINFO, _roles(RESIGN), administrator=False, context=_AS_READ),
    Deed("unpublishes", "s3:DeleteObject", _NARINFO),
    Deed("unpublishes for good", "s3:DeleteObjectVersion", _NARINFO),
    Deed("publishes a NAR", "s3:PutObject", _NAR, _roles(INGEST)),
    Deed("deletes a NAR", "s3:DeleteObject", _NAR),
    Deed("changes the cache's policy", "s3:PutBucketPolicy", Resource("cache")),
    Deed("has a cache's object expire", "s3:PutLifecycleConfiguration", Resource("cache")),
    Deed("writes the landing page", "s3:PutObject", Resource("cache", "index.html"), _roles(SITE)),
    Deed(
        "reads who published what",
        "s3:GetObject",
        Resource("ledger", f"provenance/{HASH_PART}.json"),
        _roles(INGEST, RESIGN),
    ),
    Deed("says which keys to trust", "s3:PutObject", Resource("cache", "public-keys"), _roles(KEYS)),
    Deed(
        "reads the key",
        "secretsmanager:GetSecretValue",
        Resource(SECRET),
        _roles(INGEST, KEYS, RESIGN),
        administrator=False,
    ),
    Deed("writes the key", "secretsmanager:PutSecretValue", Resource(SECRET), _roles(KEYS)),
    Deed("changes which key signs", "secretsmanager:UpdateSecretVersionStage", Resource(SECRET), _roles(KEYS)),
    Deed("changes who reads the key", "secretsmanager:PutResourcePolicy", Resource(SECRET)),
    Deed("deletes the key", "secretsmanager:DeleteSecret", Resource(SECRET)),
    Deed("submits as ci", "s3:PutObject", _SUBMISSION, _roles(BUILDER_CI)),
    Deed("reads a submission", "s3:GetObject", _SUBMISSION, _roles(INGEST)),
    Deed("deletes a submission", "s3:DeleteObject", _SUBMISSION),
    Deed("writes a verdict", "s3:PutObject", _RESULT, _roles(INGEST)),
    Deed("reads ci's verdicts", "s3:GetObject", _RESULT, _roles(INGEST, BUILDER_CI)),
    Deed("deletes a verdict", "s3:DeleteObject", _RESULT),
    Deed("votes", "s3:PutObject", _VOTE, _roles(INGEST), context=_NEW),
    Deed("changes a vote", "s3:PutObject", _VOTE, administrator=False),
    Deed("deletes a vote", "s3:DeleteObject", _VOTE),
    Deed("reads what is withdrawn", "s3:GetObject", Resource("ledger", WITHDRAWN_KEY), _roles(INGEST)),
    Deed("readmits what is withdrawn", "s3:PutObject", Resource("ledger", WITHDRAWN_KEY)),
    Deed("forgets what is withdrawn", "s3:DeleteObject", Resource("ledger", WITHDRAWN_KEY)),
    Deed(
        "removes a waiting marker",
        "s3:DeleteObject",
        Resource("ledger", f"waiting/{HASH_PART}/ci/{HASH_PART}"),
        _roles(INGEST),
    ),
    Deed("has something judged", "sqs:SendMessage", Resource("ingest queue"), _roles(INGEST, SWEEPER)),
    Deed("takes what is to be judged", "sqs:ReceiveMessage", Resource("ingest queue"), _roles(INGEST)),
    Deed("forgets what is to be judged", "sqs:PurgeQueue", Resource("ingest queue")),
    Deed("takes dead letters", "sqs:ReceiveMessage", Resource("dead letters")),
    Deed("runs ingest by hand", "lambda:InvokeFunction", Resource("function ingest")),
    Deed("makes a key by hand", "lambda:InvokeFunction", Resource("function keys")),
    Deed("changes what makes keys", "lambda:UpdateFunctionCode", Resource("function keys")),
    Deed("changes what judges", "lambda:UpdateFunctionCode", Resource("function ingest")),
    Deed("writes logs of access", "s3:PutObject", Resource("logs", "staging/2026-11-23")),
    Deed("deletes logs of access", "s3:DeleteObject", Resource("logs", "staging/2026-11-23")),
)


@dataclass(frozen=True, slots=True)
class Service:
    """A request that a service of AWS makes for one of its resources; ``source`` is the right one's logical id."""

    principal: str
    action: str
    resource: Resource
    source_type: str
    source: str
    account_too: bool
    """Whether the account has to be right as well: a bucket's ARN does not name it."""


SERVICES: Final = (
    Service(
        "s3.amazonaws.com", "sqs:SendMessage", Resource("ingest queue"), "AWS::S3::Bucket", "Staging", account_too=True
    ),
    Service(
        "cloudfront.amazonaws.com",
        "s3:GetObject",
        _NARINFO,
        "AWS::CloudFront::Distribution",
        "DeliveryDistribution",
        account_too=False,
    ),
    Service(
        "logging.s3.amazonaws.com",
        "s3:PutObject",
        Resource("logs", "staging/2026-11-23"),
        "AWS::S3::Bucket",
        "Staging",
        account_too=True,
    ),
)
