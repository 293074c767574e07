"""What a parser made of its input: a value, or the one error type."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from nixcache.errors import PermanentError
from nixcache.nar import Event, NarParser

T = TypeVar("T")


class Failure(NamedTuple):
    """What can be compared of a :class:`PermanentError`."""

    code: str
    problem: str
    field: str | None
    offset: int | None


def outcome(run: Callable[[], T]) -> T | Failure:
    """Return what ``run`` returns or why it is refused; whatever else is raised passes through and fails the test."""
    try:
        return run()
    except PermanentError as error:
        refused = error
    assert len(str(refused).splitlines()) == 1, "an error is one line"
    return Failure(str(refused.code), refused.problem, refused.field, refused.offset)


def parse_nar(pieces: Iterable[bytes]) -> list[Event]:
    """Return the events of a whole NAR."""
    parser = NarParser()
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
    parser.close()
    return events
