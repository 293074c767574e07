"""How the signing secret is laid out: a Nix secret key for each version; version stages say what each is for.

Nothing else carries state (docs/adr/0064): the present key has the stage ``AWSCURRENT``, the one before
``AWSPREVIOUS``, and one that is being made ``AWSPENDING``, as Secrets Manager itself names and moves them.
"""

from __future__ import annotations

import re
from typing import Final

CURRENT: Final = "AWSCURRENT"
PREVIOUS: Final = "AWSPREVIOUS"
PENDING: Final = "AWSPENDING"

_NUMBERED: Final = re.compile(r"(.*?)-([1-9][0-9]{0,8})", re.DOTALL)


def next_key_name(base: str, current: str | None) -> str:
    """Return ``<base>-<n>``, n being one more than the number of ``current``, if that has the same base."""
    match = _NUMBERED.fullmatch(current or "")
    number = int(match[2]) + 1 if match and match[1] == base else 1
    return f"{base}-{number}"
