"""Mutations of a JSON document: its values and keys changed, dropped, nested, given twice."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz.target import Bytewise

_BLIND = 0.3
_VALUES = (
    *("null", "true", "0", "-1", "1e999", "1e-3", "NaN", "Infinity", "9" * 400, "1.5", '""', '"\\ud800"', '"\\u0000"'),
    *("[]", "{}", "[" * 2000, '"2026-11-22T10:00:00+00:00"', '"9999-12-31T23:59:59.999999Z"', '"0001-01-01T00:00Z"'),
    *('"published"', '"duplicate"', '"waiting"', '"awaiting-quorum"', '"conflict"', '"rejected"'),
)


def mutate_document(data: bytes, source: random.Random, bytewise: Bytewise) -> bytes:
    """Return ``data`` with some of its members changed; as bytes, where it is no JSON object."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not document or source.random() < _BLIND:
        return bytewise(data)
    members = [[json.dumps(key), json.dumps(value)] for key, value in document.items()]
    at = source.randrange(len(members))
    match source.randrange(5):
        case 0:
            del members[at]
        case 1:
            members[at][1] = source.choice(_VALUES)
        case 2:
            members[at][1] = source.choice(members)[1]
        case 3:
            members[at][1] = bytewise(members[at][1].encode()).decode("utf-8", "replace")
        case _:
            members.append([members[at][0], source.choice(_VALUES)])
    return ("{" + ", ".join(f"{key}: {value}" for key, value in members) + "}").encode("utf-8", "surrogatepass")
