"""What an operator decides about a deployment, parsed from the ``assay`` object in cdk.json's context.

Parsed once, at the edge, into frozen values. Nothing here asks AWS, git or the environment, so the same file gives the
same template everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nixcache.errors import AssayError, PermanentError
from nixcache.signature import PublicKey
from nixcache.verify import DEFAULT_MAX_EXPANSION, DEFAULT_MAX_NAR_SIZE, Policy
from protocol.keys import BuilderName
from protocol.settings import DEFAULT_REFERENCE_POLICY, ReferencePolicy, Upstream

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
# Beyond any number that means something; the handler reads 19 digits at most.
_LARGEST: Final = 10**18


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

    ``max_nar_size`` is in bytes, uncompressed; ``max_expansion`` is how many times its file a NAR may be as large.
    """

    stage: str
    account: str | None
    region: str | None
    builders: tuple[Builder, ...]
    max_nar_size: int
    max_expansion: int
    references: ReferencePolicy
    upstreams: tuple[Upstream, ...]
    signing_secret_name: str

    @classmethod
    def from_context(cls, context: object) -> Config:
        """Parse the context's ``assay`` object.

        Raises `ConfigError` for the first field that is missing, unknown or wrong.
        """
        fields = _Fields("assay", context)
        stage = fields.text("stage", _STAGE, "1 to 16 characters of a-z, 0-9 and -, beginning with a letter")
        account = fields.optional_text("account", _ACCOUNT, "12 digits")
        region = fields.optional_text("region", _REGION, "a region such as eu-central-1")
        if (account is None) != (region is None):
            raise ConfigError("assay.account", "account and region go together: give both, or neither")
        builders = tuple(_builder(f) for f in fields.objects("builders"))
        if not builders:
            raise ConfigError("assay.builders", "is empty: without a builder nobody can upload")
        names = [builder.name for builder in builders]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError("assay.builders", f"{str(name)!r} is there twice: a builder is one identity")
        secret = fields.optional_text(
            "signingSecretName",
            _SECRET_NAME,
            "1 to 512 characters of A-Z, a-z, 0-9 and /_+=.@-, not ending in a hyphen and six letters or digits",
        )
        config = cls(
            stage=stage,
            account=account,
            region=region,
            builders=builders,
            max_nar_size=fields.positive("maxNarSize", "bytes", default=DEFAULT_MAX_NAR_SIZE),
            max_expansion=fields.positive("maxExpansion", "times", default=DEFAULT_MAX_EXPANSION),
            references=ReferencePolicy(
                not_found=fields.policy("referenceNotFound", default=DEFAULT_REFERENCE_POLICY.not_found),
                undeclared=fields.policy("referenceUndeclared", default=DEFAULT_REFERENCE_POLICY.undeclared),
            ),
            upstreams=tuple(_upstream(f) for f in fields.objects("upstreams")),
            signing_secret_name=secret or f"assay/{stage}/signing-key",
        )
        fields.nothing_else()
        return config


def _builder(fields: _Fields) -> Builder:
    text = fields.text("name", None, "")
    try:
        name = BuilderName(text)
    except PermanentError as error:
        raise ConfigError(f"{fields.path}.name", str(error)) from error
    principal = fields.text("principal", None, "")
    if principal != THIS_ACCOUNT and not _PRINCIPAL.fullmatch(principal):
        raise ConfigError(
            f"{fields.path}.principal",
            f"{principal!r} is neither {THIS_ACCOUNT!r} nor the ARN of one IAM role, user, session or account root",
        )
    fields.nothing_else()
    return Builder(name, principal)


def _upstream(fields: _Fields) -> Upstream:
    url = fields.text("url", None, "")
    keys = fields.texts("publicKeys")
    fields.nothing_else()
    try:
        return Upstream(url, tuple(PublicKey.parse(key) for key in keys))
    except PermanentError as error:
        raise ConfigError(fields.path, str(error)) from error


class _Fields:
    """The fields of one JSON object, each taken once; `nothing_else` finds what nobody took (a misspelt name)."""

    def __init__(self, path: str, value: object) -> None:
        if not isinstance(value, Mapping):
            raise ConfigError(path, "is missing" if value is None else f"is {value!r}, not an object")
        self.path = path
        self._left: dict[str, object] = {str(key): item for key, item in value.items()}

    def text(self, name: str, pattern: re.Pattern[str] | None, wanted: str) -> str:
        value = self._left.pop(name, None)
        field = f"{self.path}.{name}"
        if not isinstance(value, str):
            raise ConfigError(field, "is missing" if value is None else f"is {value!r}, not a text")
        if pattern is not None and not pattern.fullmatch(value):
            raise ConfigError(field, f"{value!r} is not {wanted}")
        return value

    def optional_text(self, name: str, pattern: re.Pattern[str], wanted: str) -> str | None:
        return self.text(name, pattern, wanted) if name in self._left else None

    def positive(self, name: str, of: str, *, default: int) -> int:
        value = self._left.pop(name, default)
        # bool is an int to Python, and `"maxNarSize": true` would mean one byte.
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _LARGEST:
            raise ConfigError(f"{self.path}.{name}", f"is {value!r}, not a number of {of} from 1 to {_LARGEST}")
        return value

    def policy(self, name: str, *, default: Policy) -> Policy:
        text = self.optional_text(name, _POLICY, "reject or warn")
        return default if text is None else Policy(text)

    def texts(self, name: str) -> list[str]:
        texts: list[str] = []
        for position, value in enumerate(self._list(name)):
            if not isinstance(value, str):
                raise ConfigError(f"{self.path}.{name}[{position}]", f"is {value!r}, not a text")
            texts.append(value)
        return texts

    def objects(self, name: str) -> list[_Fields]:
        return [_Fields(f"{self.path}.{name}[{n}]", value) for n, value in enumerate(self._list(name))]

    def _list(self, name: str) -> list[object]:
        value = self._left.pop(name, [])
        if not isinstance(value, list):
            raise ConfigError(f"{self.path}.{name}", f"is {value!r}, not a list")
        return value

    def nothing_else(self) -> None:
        for name in self._left:
            raise ConfigError(f"{self.path}.{name}", "is no field that Assay knows")
