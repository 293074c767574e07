"""What Lambda hands to a handler beside the event, as far as ours look at it."""

from __future__ import annotations

from typing import Protocol


class Context(Protocol):
    """One invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how long it may still run, in milliseconds."""
