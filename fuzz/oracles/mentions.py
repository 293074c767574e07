"""What a text mentions, found by asking of each place in it."""

from __future__ import annotations

import re

_HASH_PART = re.compile(rb"[0-9a-df-np-sv-z]{32}")
_NAME = re.compile(rb"-([0-9A-Za-z+._?=-]{1,211})")
_NO_NAME = re.compile(rb"\.\.?(-.*)?", re.DOTALL)


def undeclared(text: bytes, store_dir: bytes, declared: frozenset[bytes]) -> list[bytes]:
    """Return the base names that stand behind ``store_dir`` in ``text``, the first for each hash part not declared."""
    found: dict[bytes, bytes] = {}
    # The look-ahead takes nothing: a mention may begin inside another.
    for place in re.finditer(b"(?=%b/)" % re.escape(store_dir), text):
        start = place.end() + len(store_dir) + 1
        hash_part, name = _HASH_PART.match(text, start), _NAME.match(text, start + 32)
        if hash_part and name and not _NO_NAME.fullmatch(name[1]) and hash_part[0] not in declared:
            found.setdefault(hash_part[0], hash_part[0] + name[0])
    return list(found.values())
