"""Reads config/<stage>.yaml: every field with a bound, every mistake with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from nixcache.errors import PermanentError
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
from stacks.config import Builder, Config, Domain, Readers
from stacks.config_error import ConfigError
from stacks.identities.identity import KINDS, identity
from stacks.identities.roles_anywhere import RolesAnywhere
from stacks.plain_yaml import PlainYaml, PlainYamlError

DEFAULT_KEY_OVERLAP_DAYS: Final = 90
LEAST_KEY_ROTATION_DAYS: Final = 30
"""Readers have to learn of a key before it signs alone."""
MOST_KEY_ROTATION_DAYS: Final = 1000
"""Secrets Manager plans no further ahead."""
MOST_KEY_DAYS: Final = 3650
MAX_TAGS: Final = 45
"""AWS takes 50, of which CloudFormation and Assay need some."""

# Fixed bucket names hold stage, kind, account and region in S3's 63 characters.
_STAGE: Final = re.compile(r"[a-z][a-z0-9-]{0,14}[a-z0-9]|[a-z]")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
# Secrets Manager appends "-" and six characters to a name to make the ARN, and a policy says "-??????" for them: a
# name that ends like that itself would let the policy for a shorter name match this secret.
_SECRET_NAME: Final = re.compile(r"(?!.*-[A-Za-z0-9]{6}$)[A-Za-z0-9/_+=.@-]{1,512}")
# A number is appended. Nix takes more; this much stands unquoted in a shell, a nix.conf and a URL.
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_POLICY: Final = re.compile("|".join(Policy))
_DOMAIN: Final = re.compile(r"(?=.{4,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
# CloudFront takes certificates of this region alone, wherever the rest is.
_CERTIFICATE: Final = re.compile(r"arn:aws[a-z-]*:acm:us-east-1:[0-9]{12}:certificate/[0-9a-f-]{36}")
_EMAIL: Final = re.compile(r"[^\s@,;<>\"']+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)
_BOUNDARY: Final = re.compile(
    r"[\w+=,.@-]{1,128}|arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[\w+=,.@/-]{1,600}", re.ASCII
)
_TAG_NAME: Final = re.compile(r"(?!(?i:aws):)[A-Za-z0-9 _.:/=+@-]{1,128}")
_TAG_VALUE: Final = re.compile(r"[A-Za-z0-9 _.:/=+@-]{0,256}")
_READERS: Final = re.compile("|".join(Readers))


def parse_config(data: bytes, *, file: str, stage: str) -> Config:
    """Read the configuration of a stage; ``file`` is its name for messages.

    Raises :class:`ConfigError` for the first field that is missing, unknown or wrong.
    """
    try:
        yaml = PlainYaml.parse(data)
    except PlainYamlError as error:
        raise ConfigError(file, error.line, error.field, error.problem) from error

    def wrong(field: str, problem: str) -> ConfigError:
        return ConfigError(file, yaml.line_of(field), field, problem)

    # An empty file is told what it lacks, like one that was cut off.
    fields = Fields("", {} if yaml.document is None else yaml.document, wrong)
    try:
        config = _config(fields, yaml.document, stage=stage)
    except PermanentError as error:
        # Of the policy, whose fields have the same paths here.
        raise wrong(error.field or "", error.problem) from error
    fields.nothing_else()
    _check_places(fields, config)
    return config


def check_stage(stage: object) -> str:
    """Return ``stage`` if it can name one; raises `ValueError` that says what is wanted."""
    if not isinstance(stage, str) or not _STAGE.fullmatch(stage):
        message = f"{stage!r:.100} is not 1 to 16 characters of a-z, 0-9 and -, beginning with a letter"
        raise ValueError(message)
    return stage


def _config(fields: Fields, document: object, *, stage: str) -> Config:
    account = _optional_text(fields, "account", _ACCOUNT, "12 digits")
    region = _optional_text(fields, "region", _REGION, "a region such as eu-central-1")
    if (account is None) != (region is None):
        present = "region" if account is None else "account"
        raise fields.error(present, "account and region go together: give both, or neither")
    max_nar_size = _number(fields, "maxNarSize", "bytes", default=DEFAULT_MAX_NAR_SIZE)
    builders = tuple(_builders(fields.child("builders")))
    if not builders:
        raise fields.error("builders", "is empty: without a builder nobody can upload")
    rotation = (
        fields.integer("keyRotationDays", "days", least=LEAST_KEY_ROTATION_DAYS, most=MOST_KEY_ROTATION_DAYS)
        if "keyRotationDays" in fields
        else None
    )
    return Config(
        stage=stage,
        account=account,
        region=region,
        builders=builders,
        create_identity_providers=_boolean(fields, "createIdentityProviders", default=False),
        max_nar_size=max_nar_size,
        max_expansion=_number(fields, "maxExpansion", "times", default=DEFAULT_MAX_EXPANSION),
        references=ReferencePolicy(
            not_found=_policy(fields, "referenceNotFound", default=DEFAULT_REFERENCE_POLICY.not_found),
            undeclared=_policy(fields, "referenceUndeclared", default=DEFAULT_REFERENCE_POLICY.undeclared),
        ),
        upstreams=tuple(_upstream(f) for f in fields.objects("upstreams")),
        publish_upstream_paths=_boolean(fields, "publishUpstreamPaths", default=False),
        waiting_days=_number(fields, "waitingDays", "days", default=DEFAULT_WAITING_DAYS, most=MAX_WAITING_DAYS),
        policy=_submission_policy(fields, document, [builder.name for builder in builders], max_nar_size),
        signing_secret_name=_optional_text(
            fields,
            "signingSecretName",
            _SECRET_NAME,
            "1 to 512 characters of A-Z, a-z, 0-9 and /_+=.@-, not ending in a hyphen and six letters or digits",
        )
        or f"assay/{stage}/signing-key",
        key_name=_optional_text(
            fields,
            "keyName",
            _KEY_NAME,
            "1 to 200 characters of A-Z, a-z, 0-9 and ._-, beginning with one of the former",
        )
        or f"assay-{stage}",
        key_rotation_days=rotation,
        key_overlap_days=_overlap(fields, rotation),
        domain=_domain(fields.child("domain")) if "domain" in fields else None,
        readers=Readers(_optional_text(fields, "readers", _READERS, " or ".join(Readers)) or Readers.EVERYONE),
        alarm_email=_optional_text(fields, "alarmEmail", _EMAIL, "one e-mail address"),
        monthly_budget_usd=fields.integer("monthlyBudgetUsd", "US dollars", least=1, most=10**9)
        if "monthlyBudgetUsd" in fields
        else None,
        permissions_boundary=_optional_text(
            fields, "permissionsBoundary", _BOUNDARY, "the name of a policy of the account, or the ARN of one"
        ),
        backup_region=_backup_region(fields, region),
        tags=_tags(fields.child("tags")) if "tags" in fields else MappingProxyType({}),
        protect=_boolean(fields, "protect", default=True),
    )


def _builders(fields: Fields) -> Iterator[Builder]:
    for text, entry in fields.members():
        try:
            name = BuilderName(text)
        except PermanentError as error:
            raise fields.error(entry.path, f"cannot name a builder: {error.remedy}") from error
        # What else the entry holds are rules, which the policy reads.
        yield Builder(name, identity(entry))


def _submission_policy(
    fields: Fields, document: object, names: list[BuilderName], max_nar_size: int
) -> SubmissionPolicy:
    """Read the rules in the builders' entries, and the quorum."""
    match document:
        case {"builders": dict() as entries}:
            rules = {name: {k: v for k, v in entry.items() if k not in KINDS} for name, entry in entries.items()}
        case _:
            rules = {}
    written: dict[str, object] = {"builders": rules}
    if isinstance(document, dict) and "quorum" in document:
        written["quorum"] = document["quorum"]
        fields.objects("quorum")
    return SubmissionPolicy.from_document(written, defaults=SubmissionPolicy.open_to(names, max_nar_size))


def _upstream(fields: Fields) -> Upstream:
    url = fields.text("url")
    keys = fields.texts("publicKeys")
    fields.nothing_else()
    try:
        return Upstream(url, tuple(PublicKey.parse(key) for key in keys))
    except PermanentError as error:
        raise fields.error(fields.path, str(error)) from error


def _overlap(fields: Fields, rotation: int | None) -> int:
    days = _number(fields, "keyOverlapDays", "days", default=DEFAULT_KEY_OVERLAP_DAYS, most=MOST_KEY_DAYS)
    if rotation is not None and days >= rotation:
        # Secrets Manager keeps one key before the current one, and rotates at any hour of the day that is due: on the
        # last day of the overlap it would be refused.
        raise fields.error(
            "keyRotationDays",
            f"is {rotation}, but a key signs beside the next one for {days} days (keyOverlapDays), and only one can: "
            f"write {days + 1} or more, or lower keyOverlapDays",
        )
    return days


def _domain(fields: Fields) -> Domain:
    names = tuple(fields.texts("names"))
    if not names:
        raise fields.error(fields.field("names"), "is missing or empty; write the host names that clients will use")
    for position, name in enumerate(names):
        place = f"{fields.field('names')}[{position}]"
        if not _DOMAIN.fullmatch(name):
            raise fields.error(place, f"{name[:100]!r} is not a host name in lower case, such as cache.example.org")
        if name in names[:position]:
            raise fields.error(place, f"{name!r} is there twice")
    certificate = fields.text("certificate", _CERTIFICATE, "the ARN of a certificate of ACM in us-east-1")
    fields.nothing_else()
    return Domain(names, certificate)


def _backup_region(fields: Fields, region: str | None) -> str | None:
    backup = _optional_text(fields, "backupRegion", _REGION, "a region such as eu-west-1")
    if backup is not None and backup == region:
        raise fields.error("backupRegion", f"is {backup}, where the cache itself is; write another region")
    return backup


def _check_places(fields: Fields, config: Config) -> None:
    """Refuse what AWS would only refuse in the middle of a deployment, or when nobody gets in: it lies elsewhere."""
    if config.account is None:
        return
    arns = {
        "domain.certificate": None if config.domain is None else config.domain.certificate,
        "permissionsBoundary": config.permissions_boundary,
    }
    for builder in config.builders:
        if isinstance(builder.identity, RolesAnywhere):
            field, anchor = f"builders.{builder.name}.rolesAnywhere.trustAnchor", builder.identity.trust_anchor
            arns[field] = anchor
            if anchor.split(":")[3] != config.region:
                raise fields.error(
                    field, f"is in {anchor.split(':')[3]}; it has to be where the rest is, {config.region}"
                )
    for field, arn in arns.items():
        if arn is not None and arn.startswith("arn:") and arn.split(":")[4] not in {config.account, "aws"}:
            raise fields.error(field, f"is of the account {arn.split(':')[4]}, and the deployment of {config.account}")


def _tags(fields: Fields) -> Mapping[str, str]:
    names = fields.names
    if len(names) > MAX_TAGS:
        raise fields.error(fields.path, f"has {len(names)} tags; {MAX_TAGS} are allowed")
    for name in names:
        if not _TAG_NAME.fullmatch(name):
            raise fields.error(
                fields.field(name), "is no name of a tag: letters, digits, spaces and _.:/=+@-, not beginning with aws:"
            )
    wanted = "up to 256 letters, digits, spaces and _.:/=+@-"
    return MappingProxyType({name: fields.text(name, _TAG_VALUE, wanted) for name in names})


def _optional_text(fields: Fields, name: str, pattern: re.Pattern[str], wanted: str) -> str | None:
    return fields.text(name, pattern, wanted) if name in fields else None


def _number(fields: Fields, name: str, of: str, *, default: int, most: int = LARGEST_NAR_SIZE) -> int:
    return fields.integer(name, of, least=1, most=most) if name in fields else default


def _boolean(fields: Fields, name: str, *, default: bool) -> bool:
    return fields.boolean(name) if name in fields else default


def _policy(fields: Fields, name: str, *, default: Policy) -> Policy:
    return Policy(fields.text(name, _POLICY, "reject or warn")) if name in fields else default
