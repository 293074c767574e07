"""Wake messages: ingest's own messages in its queue, which say that a submission need not wait any longer.

One names a key and no version. A builder may have replaced a submission while it waited, and what counts then is what
it says now (docs/adr/0022).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from protocol.keys import StagingNarInfoKey

_SCHEMA_FIELD: Final = "assayWake"
_SCHEMA: Final = 1


def render(key: StagingNarInfoKey) -> str:
    """Return the message's body."""
    return json.dumps({_SCHEMA_FIELD: _SCHEMA, "submission": str(key)})


def is_wake(document: Mapping[str, object]) -> bool:
    """Tell whether a message's JSON is a wake message that :func:`parse` can read."""
    return document.get(_SCHEMA_FIELD) == _SCHEMA


def parse(document: Mapping[str, object]) -> StagingNarInfoKey:
    """Return which submission to wake; raises :class:`PermanentError` (``object-key-malformed``)."""
    return StagingNarInfoKey.parse(str(document.get("submission")))
