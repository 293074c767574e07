"""URLs as they may be shown: logs, tickets and chats are where passwords in them would end."""

from __future__ import annotations

import re
from typing import Final

_USER_AND_PASSWORD: Final = re.compile(
    # What RFC 3986, section 3.2.1, calls userinfo; a proxy may be set without a scheme.
    r"(^|//)(?:[^/?#]*@"
    # A password with a raw slash in it makes "host:port" of its first half: such a URL does not work, and so is just
    # what people show to others. A port has digits alone.
    r"|[^/?#@:\[]*:(?!\d*(?:[/?#]|$)|//).*@)",
    re.DOTALL,
)


def without_password(url: str) -> str:
    """Return ``url`` without its user and password; one that has none, or is no URL, as it is. Never raises."""
    return _USER_AND_PASSWORD.sub(r"\1", url)
