"""Result documents: what is read is written as the same again, and anything else is refused."""

from __future__ import annotations

from fuzz.contract import Refusal, outcome, require_same
from fuzz.mutators.documents import mutate_document
from fuzz.target import Target
from protocol.results import Result


def check(data: bytes) -> None:
    """Hold reader and writer to their contract for ``data``."""
    result = outcome(lambda: Result.from_json(data))
    if not isinstance(result, Refusal):
        written = result.to_json()
        again = Result.from_json(written)
        require_same(again.to_json(), written, "Writing is a fixed point")
        require_same(
            (again.verdict, again.submission, again.disputed_by),
            (result.verdict, result.submission, result.disputed_by),
            "The verdict is the same, and who disputes it",
        )


TARGET = Target(name="results", check=check, mutate=mutate_document)
