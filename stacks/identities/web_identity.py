"""A job of a CI system that signs a token for it (OpenID Connect)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

AUDIENCE: Final = "sts.amazonaws.com"
"""What a token has to be made for: one that a job fetched for another service is worth nothing here."""

REF: Final = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./+@#=,-]{0,254}")
"""A branch that a trust policy can name. No ``*``, which looks as if it matched, and no ``$``: IAM reads ``${…}``."""
REF_WANTED: Final = "the name of one branch: letters, digits and _./+@#=,- without a wildcard"


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """The one subject that an issuer's tokens have to name; ``issuer`` is its address without ``https://``."""

    issuer: str
    subject: str
