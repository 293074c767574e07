"""Instances of EC2 that are launched with the builder's instance profile."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from protocol.fields import Fields
from stacks.identities.iam_principal import THIS_ACCOUNT

_THIS_ACCOUNT: Final = re.compile(THIS_ACCOUNT)


@dataclass(frozen=True, slots=True)
class Ec2Instance:
    """Any instance of the deployment's account that somebody who may pass the role gave it to."""


def ec2_instance(fields: Fields, name: str) -> Ec2Instance:
    """Read the field ``name``: an instance profile works in its own account alone."""
    fields.text(name, _THIS_ACCOUNT, f"{THIS_ACCOUNT!r}: an instance profile works in the deployment's account alone")
    return Ec2Instance()
