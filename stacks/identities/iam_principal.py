"""An IAM role, user or session, or a whole account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from protocol.fields import Fields

THIS_ACCOUNT: Final = "this-account"
"""Leaves it to the IAM policies of the deployment's own account who may assume a builder's role."""

# One named principal. No wildcard: a `*` here would let any AWS account upload as this builder.
_PRINCIPAL: Final = re.compile(
    r"this-account|arn:aws[a-z-]*:(iam::[0-9]{12}:(root|(role|user)/[\w+=,.@/-]+)"
    r"|sts::[0-9]{12}:assumed-role/[\w+=,.@/-]+)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class IamPrincipal:
    """``arn`` is that of an IAM role, user, account root or assumed-role session, or `THIS_ACCOUNT`."""

    arn: str


def iam_principal(fields: Fields, name: str) -> IamPrincipal:
    """Read the field ``name``."""
    wanted = f"{THIS_ACCOUNT!r} or the ARN of one IAM role, user, session or account root"
    return IamPrincipal(fields.text(name, _PRINCIPAL, wanted))
