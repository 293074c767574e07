"""The settings of the ingest Lambda, as its environment carries them: written by the stack, read by the handler."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from nixcache.errors import PermanentError
from nixcache.signature import PublicKey
from nixcache.store_path import NIX_STORE, StoreDir
from nixcache.verify import DEFAULT_MAX_EXPANSION, DEFAULT_MAX_NAR_SIZE, Policy
from protocol.delivery import FIRST_RETRY_SECONDS

T = TypeVar("T")


class SettingsCode(StrEnum):
    """What can be wrong with the settings."""

    SETTINGS_MALFORMED = "settings-malformed"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A binary cache whose paths need not be published here: its URL, and the keys that sign its narinfos."""

    url: str
    public_keys: tuple[PublicKey, ...]

    def __post_init__(self) -> None:
        """Raise :class:`PermanentError` (``settings-malformed``) for one that can never vouch for a path."""
        if not self.url.startswith(("https://", "http://")) or self.url.endswith("/"):
            raise _malformed(f"{self.url!r} is no binary cache's URL.", "Write https://host, without a final slash.")
        if not self.public_keys:
            raise _malformed(f"The upstream {self.url} has no public key.", "Name at least one: <key name>:<base64>.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePolicy:
    """What to do where a narinfo's references and what the bytes mention differ.

    ``not_found``: a declared reference that the bytes never mention. ``undeclared``: a store path that they mention,
    and that is neither declared nor in the closure of what is.
    """

    not_found: Policy = Policy.REJECT
    undeclared: Policy = Policy.WARN


DEFAULT_REFERENCE_POLICY: Final = ReferencePolicy()
"""A false claim is refused. What Nix itself leaves out for ``unsafeDiscardReferences`` (disk images) is said."""


MAX_WAITING_DAYS: Final = 13
"""The longest that a submission may wait: a waiting marker expires after 14 days, and whoever lost it waits unseen."""
DEFAULT_WAITING_DAYS: Final = 7
SECONDS_OF_A_DAY: Final = 24 * 60 * 60
DEFAULT_STAGE: Final = "local"
"""Where nothing is deployed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """What the handler needs to know: bucket names, the queue's URL, the secret's name, the deployment's limits.

    ``policy_file`` is where the deployment's :class:`protocol.policy.SubmissionPolicy` lies, from the code;
    ``max_nar_size`` is in bytes; ``max_expansion`` is how many times its file a NAR may be as large;
    ``first_retry_seconds`` is how long a submission rests after its first trouble; ``max_waiting_seconds`` is how long
    it may wait for its references; ``publish_upstream_paths``: whether a path is published here that a trusted upstream
    itself has; ``key_overlap_days``: how long the key before signs beside a new one; ``stage`` is which deployment its
    metrics are of.
    """

    staging_bucket: str
    cache_bucket: str
    ledger_bucket: str
    queue_url: str
    signing_secret_id: str
    policy_file: str
    store_dir: StoreDir = NIX_STORE
    max_nar_size: int = DEFAULT_MAX_NAR_SIZE
    max_expansion: int = DEFAULT_MAX_EXPANSION
    references: ReferencePolicy = DEFAULT_REFERENCE_POLICY
    first_retry_seconds: int = FIRST_RETRY_SECONDS
    max_waiting_seconds: int = DEFAULT_WAITING_DAYS * SECONDS_OF_A_DAY
    publish_upstream_paths: bool = False
    upstreams: tuple[Upstream, ...] = ()
    key_overlap_days: int = 0
    stage: str = DEFAULT_STAGE

    def to_environment(self) -> dict[str, str]:
        """Return the variables that :meth:`from_environment` reads."""
        return {
            "ASSAY_STAGING_BUCKET": self.staging_bucket,
            "ASSAY_CACHE_BUCKET": self.cache_bucket,
            "ASSAY_LEDGER_BUCKET": self.ledger_bucket,
            "ASSAY_QUEUE_URL": self.queue_url,
            "ASSAY_SIGNING_SECRET_ID": self.signing_secret_id,
            "ASSAY_POLICY_FILE": self.policy_file,
            "ASSAY_STORE_DIR": self.store_dir.path,
            "ASSAY_MAX_NAR_SIZE": str(self.max_nar_size),
            "ASSAY_MAX_EXPANSION": str(self.max_expansion),
            "ASSAY_REFERENCE_NOT_FOUND": self.references.not_found.value,
            "ASSAY_REFERENCE_UNDECLARED": self.references.undeclared.value,
            "ASSAY_FIRST_RETRY_SECONDS": str(self.first_retry_seconds),
            "ASSAY_MAX_WAITING_SECONDS": str(self.max_waiting_seconds),
            "ASSAY_PUBLISH_UPSTREAM_PATHS": "true" if self.publish_upstream_paths else "false",
            "ASSAY_UPSTREAMS": json.dumps(
                [
                    {"url": upstream.url, "publicKeys": list(map(str, upstream.public_keys))}
                    for upstream in self.upstreams
                ]
            ),
            "ASSAY_KEY_OVERLAP_DAYS": str(self.key_overlap_days),
            "ASSAY_STAGE": self.stage,
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> IngestSettings:
        """Read the variables; raises :class:`PermanentError` (``settings-malformed``) that names the wrong one."""
        return cls(
            staging_bucket=_read(environment, "ASSAY_STAGING_BUCKET", _name),
            cache_bucket=_read(environment, "ASSAY_CACHE_BUCKET", _name),
            ledger_bucket=_read(environment, "ASSAY_LEDGER_BUCKET", _name),
            queue_url=_read(environment, "ASSAY_QUEUE_URL", _name),
            signing_secret_id=_read(environment, "ASSAY_SIGNING_SECRET_ID", _name),
            policy_file=_read(environment, "ASSAY_POLICY_FILE", _name),
            store_dir=_read(environment, "ASSAY_STORE_DIR", StoreDir),
            max_nar_size=_read(environment, "ASSAY_MAX_NAR_SIZE", _size),
            max_expansion=_read(environment, "ASSAY_MAX_EXPANSION", _factor),
            references=ReferencePolicy(
                not_found=_read(environment, "ASSAY_REFERENCE_NOT_FOUND", _policy),
                undeclared=_read(environment, "ASSAY_REFERENCE_UNDECLARED", _policy),
            ),
            first_retry_seconds=_read(environment, "ASSAY_FIRST_RETRY_SECONDS", _seconds),
            max_waiting_seconds=_read(environment, "ASSAY_MAX_WAITING_SECONDS", _waiting_seconds),
            publish_upstream_paths=_read(environment, "ASSAY_PUBLISH_UPSTREAM_PATHS", _boolean),
            upstreams=_read(environment, "ASSAY_UPSTREAMS", _upstreams),
            key_overlap_days=_read(environment, "ASSAY_KEY_OVERLAP_DAYS", _days),
            stage=_read(environment, "ASSAY_STAGE", _name),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings:
    """What the sweeper needs to know; a marker older than ``max_waiting_seconds`` has its submission judged again."""

    ledger_bucket: str
    queue_url: str
    max_waiting_seconds: int
    stage: str = DEFAULT_STAGE

    def to_environment(self) -> dict[str, str]:
        """Return the variables that :meth:`from_environment` reads."""
        return {
            "ASSAY_LEDGER_BUCKET": self.ledger_bucket,
            "ASSAY_QUEUE_URL": self.queue_url,
            "ASSAY_MAX_WAITING_SECONDS": str(self.max_waiting_seconds),
            "ASSAY_STAGE": self.stage,
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> SweepSettings:
        """Read the variables; raises :class:`PermanentError` (``settings-malformed``) that names the wrong one."""
        return cls(
            ledger_bucket=_read(environment, "ASSAY_LEDGER_BUCKET", _name),
            queue_url=_read(environment, "ASSAY_QUEUE_URL", _name),
            max_waiting_seconds=_read(environment, "ASSAY_MAX_WAITING_SECONDS", _waiting_seconds),
            stage=_read(environment, "ASSAY_STAGE", _name),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """What makes keys: the secret, the name that numbers are appended to, and how long the key before signs on."""

    signing_secret_id: str
    cache_bucket: str
    key_name: str
    key_overlap_days: int
    stage: str = DEFAULT_STAGE

    def to_environment(self) -> dict[str, str]:
        """Return the variables that :meth:`from_environment` reads."""
        return {
            "ASSAY_SIGNING_SECRET_ID": self.signing_secret_id,
            "ASSAY_CACHE_BUCKET": self.cache_bucket,
            "ASSAY_KEY_NAME": self.key_name,
            "ASSAY_KEY_OVERLAP_DAYS": str(self.key_overlap_days),
            "ASSAY_STAGE": self.stage,
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> KeySettings:
        """Read the variables; raises :class:`PermanentError` (``settings-malformed``) that names the wrong one."""
        return cls(
            signing_secret_id=_read(environment, "ASSAY_SIGNING_SECRET_ID", _name),
            cache_bucket=_read(environment, "ASSAY_CACHE_BUCKET", _name),
            key_name=_read(environment, "ASSAY_KEY_NAME", _name),
            key_overlap_days=_read(environment, "ASSAY_KEY_OVERLAP_DAYS", _days),
            stage=_read(environment, "ASSAY_STAGE", _name),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResignSettings:
    """What adds signatures to published narinfos: the cache with them, the ledger with their provenance, the keys."""

    cache_bucket: str
    ledger_bucket: str
    signing_secret_id: str
    store_dir: StoreDir = NIX_STORE
    stage: str = DEFAULT_STAGE

    def to_environment(self) -> dict[str, str]:
        """Return the variables that :meth:`from_environment` reads."""
        return {
            "ASSAY_CACHE_BUCKET": self.cache_bucket,
            "ASSAY_LEDGER_BUCKET": self.ledger_bucket,
            "ASSAY_SIGNING_SECRET_ID": self.signing_secret_id,
            "ASSAY_STORE_DIR": self.store_dir.path,
            "ASSAY_STAGE": self.stage,
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ResignSettings:
        """Read the variables; raises :class:`PermanentError` (``settings-malformed``) that names the wrong one."""
        return cls(
            cache_bucket=_read(environment, "ASSAY_CACHE_BUCKET", _name),
            ledger_bucket=_read(environment, "ASSAY_LEDGER_BUCKET", _name),
            signing_secret_id=_read(environment, "ASSAY_SIGNING_SECRET_ID", _name),
            store_dir=_read(environment, "ASSAY_STORE_DIR", StoreDir),
            stage=_read(environment, "ASSAY_STAGE", _name),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """What the landing page is made of: where the cache lies, where it is read, and whether readers need a password."""

    cache_bucket: str
    cache_url: str
    is_private: bool
    store_dir: StoreDir = NIX_STORE
    stage: str = DEFAULT_STAGE

    def to_environment(self) -> dict[str, str]:
        """Return the variables that :meth:`from_environment` reads."""
        return {
            "ASSAY_CACHE_BUCKET": self.cache_bucket,
            "ASSAY_CACHE_URL": self.cache_url,
            "ASSAY_IS_PRIVATE": "true" if self.is_private else "false",
            "ASSAY_STORE_DIR": self.store_dir.path,
            "ASSAY_STAGE": self.stage,
        }

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> SiteSettings:
        """Read the variables; raises :class:`PermanentError` (``settings-malformed``) that names the wrong one."""
        return cls(
            cache_bucket=_read(environment, "ASSAY_CACHE_BUCKET", _name),
            cache_url=_read(environment, "ASSAY_CACHE_URL", _https),
            is_private=_read(environment, "ASSAY_IS_PRIVATE", _boolean),
            store_dir=_read(environment, "ASSAY_STORE_DIR", StoreDir),
            stage=_read(environment, "ASSAY_STAGE", _name),
        )


def _read(environment: Mapping[str, str], variable: str, parse: Callable[[str], T]) -> T:
    """Parse one variable; whatever is wrong with it becomes an error that names it."""
    try:
        return parse(environment[variable])
    except KeyError:
        problem = "It is not set."
    except PermanentError as error:
        problem = f"{error.problem} {error.remedy}"
    raise _malformed(problem, "Deploy the stack again: it sets all of them.", field=variable)


def _name(text: str) -> str:
    if not text:
        raise _malformed("It is empty.")
    return text


def _https(text: str) -> str:
    if not re.fullmatch(r"https://[A-Za-z0-9.-]{1,253}", text, re.ASCII):
        raise _malformed(f"{text[:300]!r} is not https:// and a host.")
    return text


def _size(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text, re.ASCII):
        raise _malformed(f"{text[:40]!r} is not a size in bytes.")
    return int(text)


def _factor(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text, re.ASCII):
        raise _malformed(f"{text[:40]!r} is not a whole number above 0.")
    return int(text)


def _policy(text: str) -> Policy:
    try:
        return Policy(text)
    except ValueError:
        raise _malformed(f"{text[:40]!r} is neither reject nor warn.") from None


def _seconds(text: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,3}", text, re.ASCII):
        raise _malformed(f"{text[:40]!r} is not a number of seconds below 10,000.")
    return int(text)


def _waiting_seconds(text: str) -> int:
    longest = MAX_WAITING_DAYS * SECONDS_OF_A_DAY
    if not re.fullmatch(r"0|[1-9][0-9]{0,6}", text, re.ASCII) or int(text) > longest:
        raise _malformed(f"{text[:40]!r} is not a number of seconds up to {longest:,}.")
    return int(text)


def _days(text: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,3}", text, re.ASCII):
        raise _malformed(f"{text[:40]!r} is not a number of days below 10,000.")
    return int(text)


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise _malformed(f"{text[:40]!r} is neither true nor false.")
    return text == "true"


def _upstreams(text: str) -> tuple[Upstream, ...]:
    try:
        return tuple(
            Upstream(str(document["url"]), tuple(map(PublicKey.parse, map(str, document["publicKeys"]))))
            for document in json.loads(text)
        )
    # RecursionError: what json raises for a document nested a thousand levels deep.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _malformed(f'{text[:100]!r} is not a list of {{"url": …, "publicKeys": […]}}.') from error


def _malformed(problem: str, remedy: str = "", *, field: str | None = None) -> PermanentError:
    return PermanentError(SettingsCode.SETTINGS_MALFORMED, problem, remedy=remedy, field=field)
