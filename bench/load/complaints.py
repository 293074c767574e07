"""What is found wrong at the end: all of it, or one fault could hide another."""

from __future__ import annotations

from typing import Final

_SHOWN: Final = 10


class Complaints:
    """Sentences."""

    def __init__(self) -> None:
        """Begin without any."""
        self._sentences: list[str] = []

    def expect(self, holds: object, otherwise: str) -> None:
        """Take down ``otherwise`` unless something holds."""
        if not holds:
            self._sentences.append(otherwise)

    def raise_any(self) -> None:
        """Raise SystemExit that says the first of them, if there are any."""
        if self._sentences:
            shown = "\n  ".join(self._sentences[:_SHOWN])
            raise SystemExit(f"bench: {len(self._sentences)} things are wrong at the end:\n  {shown}")
