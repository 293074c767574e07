"""How the signing secret is laid out: a Nix secret key for each version; version stages say what each is for.

Nothing else carries state (docs/adr/0064): the present key has the stage ``AWSCURRENT``, the one before
``AWSPREVIOUS``, and one that is being made ``AWSPENDING``, as Secrets Manager itself names and moves them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

CURRENT: Final = "AWSCURRENT"
PREVIOUS: Final = "AWSPREVIOUS"
PENDING: Final = "AWSPENDING"

_NUMBERED: Final = re.compile(r"(.*?)-([1-9][0-9]{0,8})", re.DOTALL)


def next_key_name(base: str, known: Iterable[str]) -> str:
    """Return ``<base>-<n>``, n being one more than the highest number that a name in ``known`` has after ``base``."""
    matches = (_NUMBERED.fullmatch(name) for name in known)
    number = max((int(match[2]) for match in matches if match and match[1] == base), default=0)
    return f"{base}-{number + 1}"
