"""What an operator decides about a deployment, parsed from the ``assay`` object in cdk.json's context.

Parsed once, at the edge, into frozen values. Nothing here asks AWS, git or the environment, so the same file gives the
same template everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nixcache.errors import AssayError, PermanentError
from nixcache.signature import PublicKey
from nixcache.verify import DEFAULT_MAX_EXPANSION, DEFAULT_MAX_NAR_SIZE, Policy
from protocol.fields import Fields
from protocol.keys import BuilderName
from protocol.policy import LARGEST_NAR_SIZE, SubmissionPolicy
from protocol.settings import (
    DEFAULT_REFERENCE_POLICY,
    DEFAULT_WAITING_DAYS,
    MAX_WAITING_DAYS,
    ReferencePolicy,
    Upstream,
)
from stacks.policy_file import parse_policy

THIS_ACCOUNT: Final = "this-account"
"""Principal that leaves it to the IAM policies of the deployment's own account who may assume a builder's role."""

# Fixed bucket names hold stage, kind, account and region in S3's 63 characters.
_STAGE: Final = re.compile(r"[a-z][a-z0-9-]{0,14}[a-z0-9]|[a-z]")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
# One named principal. No wildcard: a `*` here would let any AWS account upload as this builder.
_PRINCIPAL: Final = re.compile(
    r"arn:aws[a-z-]*:(iam::[0-9]{12}:(root|(role|user)/[\w+=,.@/-]+)|sts::[0-9]{12}:assumed-role/[\w+=,.@/-]+)",
    re.ASCII,
)
# Secrets Manager appends "-" and six characters to a name to make the ARN, and a policy says "-??????" for them: a
# name that ends like that itself would let the policy for a shorter name match this secret.
_SECRET_NAME: Final = re.compile(r"(?!.*-[A-Za-z0-9]{6}$)[A-Za-z0-9/_+=.@-]{1,512}")
_POLICY: Final = re.compile("|".join(Policy))
# On one line, and a name that the file system takes.
_FILE: Final = re.compile(r"[^\x00-\x1f]+")


class ConfigError(AssayError):
    """A field of the context is missing or wrong. The message names the field, the value and what is wanted."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"cdk.json, context, {field}: {problem}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Builder:
    """A builder and who may act as it.

    ``principal`` is the ARN of an IAM role, user, account root or assumed-role session, or `THIS_ACCOUNT`.
    """

    name: BuilderName
    principal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A deployment. ``account`` and ``region`` are both set or both None (then the deploying credentials decide).

    ``max_nar_size`` is in bytes, uncompressed; ``max_expansion`` is how many times its file a NAR may be as large;
    ``publish_upstream_paths``: whether a path is published that an upstream has; ``waiting_days`` is how long a
    submission may wait for its references; ``policy`` has the rules of every one of ``builders``.
    """

    stage: str
    account: str | None
    region: str | None
    builders: tuple[Builder, ...]
    max_nar_size: int
    max_expansion: int
    references: ReferencePolicy
    upstreams: tuple[Upstream, ...]
    publish_upstream_paths: bool
    waiting_days: int
    policy: SubmissionPolicy
    signing_secret_name: str

    @classmethod
    def from_context(cls, context: object, *, directory: Path) -> Config:
        """Parse the context's ``assay`` object, and the policy file that it names, relative to ``directory``.

        Raises `ConfigError` or `PolicyFileError` for the first field that is missing, unknown or wrong.
        """
        fields = Fields("assay", context, ConfigError)
        stage = fields.text("stage", _STAGE, "1 to 16 characters of a-z, 0-9 and -, beginning with a letter")
        account = _optional_text(fields, "account", _ACCOUNT, "12 digits")
        region = _optional_text(fields, "region", _REGION, "a region such as eu-central-1")
        if (account is None) != (region is None):
            raise ConfigError("assay.account", "account and region go together: give both, or neither")
        builders = tuple(_builder(f) for f in fields.objects("builders"))
        if not builders:
            raise ConfigError("assay.builders", "is empty: without a builder nobody can upload")
        names = [builder.name for builder in builders]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError("assay.builders", f"{str(name)!r} is there twice: a builder is one identity")
        secret = _optional_text(
            fields,
            "signingSecretName",
            _SECRET_NAME,
            "1 to 512 characters of A-Z, a-z, 0-9 and /_+=.@-, not ending in a hyphen and six letters or digits",
        )
        max_nar_size = _number(fields, "maxNarSize", "bytes", default=DEFAULT_MAX_NAR_SIZE)
        open_to_all = SubmissionPolicy.open_to(names, max_nar_size)
        config = cls(
            stage=stage,
            account=account,
            region=region,
            builders=builders,
            max_nar_size=max_nar_size,
            max_expansion=_number(fields, "maxExpansion", "times", default=DEFAULT_MAX_EXPANSION),
            references=ReferencePolicy(
                not_found=_policy(fields, "referenceNotFound", default=DEFAULT_REFERENCE_POLICY.not_found),
                undeclared=_policy(fields, "referenceUndeclared", default=DEFAULT_REFERENCE_POLICY.undeclared),
            ),
            upstreams=tuple(_upstream(f) for f in fields.objects("upstreams")),
            publish_upstream_paths="publishUpstreamPaths" in fields and fields.boolean("publishUpstreamPaths"),
            waiting_days=_number(fields, "waitingDays", "days", default=DEFAULT_WAITING_DAYS, most=MAX_WAITING_DAYS),
            policy=_submission_policy(fields, directory, defaults=open_to_all),
            signing_secret_name=secret or f"assay/{stage}/signing-key",
        )
        fields.nothing_else()
        return config


def _builder(fields: Fields) -> Builder:
    text = fields.text("name")
    try:
        name = BuilderName(text)
    except PermanentError as error:
        raise ConfigError(f"{fields.path}.name", str(error)) from error
    principal = fields.text("principal")
    if principal != THIS_ACCOUNT and not _PRINCIPAL.fullmatch(principal):
        raise ConfigError(
            f"{fields.path}.principal",
            f"{principal!r} is neither {THIS_ACCOUNT!r} nor the ARN of one IAM role, user, session or account root",
        )
    fields.nothing_else()
    return Builder(name, principal)


def _upstream(fields: Fields) -> Upstream:
    url = fields.text("url")
    keys = fields.texts("publicKeys")
    fields.nothing_else()
    try:
        return Upstream(url, tuple(PublicKey.parse(key) for key in keys))
    except PermanentError as error:
        raise ConfigError(fields.path, str(error)) from error


def _optional_text(fields: Fields, name: str, pattern: re.Pattern[str], wanted: str) -> str | None:
    return fields.text(name, pattern, wanted) if name in fields else None


def _number(fields: Fields, name: str, of: str, *, default: int, most: int = LARGEST_NAR_SIZE) -> int:
    return fields.integer(name, of, least=1, most=most) if name in fields else default


def _policy(fields: Fields, name: str, *, default: Policy) -> Policy:
    return Policy(fields.text(name, _POLICY, "reject or warn")) if name in fields else default


def _submission_policy(fields: Fields, directory: Path, *, defaults: SubmissionPolicy) -> SubmissionPolicy:
    if "policy" not in fields:
        return defaults
    file = fields.text("policy", _FILE, "the path of a file")
    try:
        data = (directory / file).read_bytes()
    except OSError as error:
        raise ConfigError(fields.field("policy"), f"{file!r} cannot be read: {error.strerror}") from error
    return parse_policy(data, file=file, defaults=defaults)
