"""What ``assay status`` prints: for people, or as one JSON document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hook.queue.view import QueueView


def as_json(view: QueueView) -> str:
    """Return the queue as one JSON document; times are in seconds since the epoch. Raises OSError."""
    return json.dumps(view.overview(limit=1000).document(view.store_dir), indent=1)


def as_text(view: QueueView) -> str:
    """Return a line for each path."""
    overview = view.overview(limit=50)
    lines = [f"{entry.progress.state:<9}  {entry.path.base_name}" for entry in overview.entries]
    return "\n".join(lines) if lines else "Nothing is queued."
