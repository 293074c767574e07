"""The identity in a builder's entry: one of the kinds, and no more than one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from protocol.fields import Fields
from stacks.identities.ec2 import Ec2Instance, ec2_instance
from stacks.identities.github_actions import github_actions
from stacks.identities.gitlab import gitlab
from stacks.identities.iam_principal import IamPrincipal, iam_principal
from stacks.identities.roles_anywhere import RolesAnywhere, roles_anywhere
from stacks.identities.web_identity import WebIdentity

Identity: TypeAlias = WebIdentity | IamPrincipal | Ec2Instance | RolesAnywhere

KINDS: Final[Mapping[str, Callable[[Fields, str], Identity]]] = MappingProxyType(
    {
        "githubActions": lambda fields, name: github_actions(fields.child(name)),
        "gitlab": lambda fields, name: gitlab(fields.child(name)),
        "iamPrincipal": iam_principal,
        "ec2": ec2_instance,
        "rolesAnywhere": lambda fields, name: roles_anywhere(fields.child(name)),
    }
)
"""By the field that it is written in, what reads it."""


def identity(fields: Fields) -> Identity:
    """Read the one identity of a builder's entry, and leave its other fields alone."""
    there = [kind for kind in KINDS if kind in fields]
    if not there:
        raise fields.error(fields.path, f"does not say who may act as this builder; write one of {', '.join(KINDS)}")
    first, *more = there
    if more:
        raise fields.error(fields.field(more[0]), f"is one identity too many beside {first}: give each its own builder")
    return KINDS[first](fields, first)
