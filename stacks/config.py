"""What an operator decides about a deployment, as frozen values. stacks/config_parser.py reads them from a file.

Nothing here asks AWS, git or the environment, so the same file gives the same template everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from protocol.keys import BuilderName
from protocol.policy import SubmissionPolicy
from protocol.settings import ReferencePolicy, Upstream
from stacks.identities.identity import Identity


class Readers(StrEnum):
    """Who reads the cache: ``everyone``, or who has a password (``basic-auth``)."""

    EVERYONE = "everyone"
    BASIC_AUTH = "basic-auth"


@dataclass(frozen=True, slots=True)
class Domain:
    """Names that the cache is read under, the first of which clients are told, and the ARN of their certificate."""

    names: tuple[str, ...]
    certificate: str


@dataclass(frozen=True, slots=True)
class Builder:
    """A builder and who may act as it."""

    name: BuilderName
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A deployment. ``account`` and ``region`` are both set or both None (then the deploying credentials decide).

    ``create_identity_providers``: whether the account's OpenID Connect providers that builders need are made here;
    ``max_nar_size`` is in bytes, uncompressed; ``max_expansion`` is how many times its file a NAR may be as large;
    ``publish_upstream_paths``: whether a path is published that an upstream has; ``waiting_days`` is how long a
    submission may wait for its references; ``policy`` has the rules of every one of ``builders``.

    ``key_name`` is what the numbers of signing keys are appended to; ``key_rotation_days`` is None where a new key is
    made by command alone; ``key_overlap_days`` is how long the one before signs beside a new one.

    ``permissions_boundary`` is a name or an ARN of a policy; ``tags`` go to every resource; ``protect``: whether the
    stack can be deleted only after somebody has lifted its protection.
    """

    stage: str
    account: str | None
    region: str | None
    builders: tuple[Builder, ...]
    create_identity_providers: bool
    max_nar_size: int
    max_expansion: int
    references: ReferencePolicy
    upstreams: tuple[Upstream, ...]
    publish_upstream_paths: bool
    waiting_days: int
    policy: SubmissionPolicy
    signing_secret_name: str
    key_name: str
    key_rotation_days: int | None
    key_overlap_days: int
    domain: Domain | None
    readers: Readers
    alarm_email: str | None
    monthly_budget_usd: int | None
    permissions_boundary: str | None
    backup_region: str | None
    tags: Mapping[str, str]
    protect: bool
