"""Machines outside AWS with a certificate of an operator's own authority (IAM Roles Anywhere)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from protocol.fields import Fields

_TRUST_ANCHOR: Final = re.compile(r"arn:aws[a-z-]*:rolesanywhere:[a-z0-9-]+:[0-9]{12}:trust-anchor/[0-9a-f-]{36}")
# No slash: Roles Anywhere joins several common names of one certificate with it, so that `a` and `b` would pass for
# `a/b`.
_COMMON_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@+=:-]{0,63}")


@dataclass(frozen=True, slots=True)
class RolesAnywhere:
    """The common name of a certificate's subject, below one trust anchor (an ARN)."""

    trust_anchor: str
    common_name: str


def roles_anywhere(fields: Fields) -> RolesAnywhere:
    """Read ``trustAnchor`` and ``commonName``."""
    identity = RolesAnywhere(
        trust_anchor=fields.text("trustAnchor", _TRUST_ANCHOR, "the ARN of a trust anchor of IAM Roles Anywhere"),
        common_name=fields.text(
            "commonName", _COMMON_NAME, "the common name of one certificate: letters, digits, spaces and ._@+=:-"
        ),
    )
    fields.nothing_else()
    return identity
