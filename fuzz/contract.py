"""The contract of everything that reads a builder's bytes: accepted, or refused with the one error type.

Any other exception leaves a target as it was raised; that, too, is a finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class ContractBrokenError(Exception):
    """What was promised of any input does not hold for this one."""


class Refusal(NamedTuple):
    """What can be compared of a :class:`PermanentError`."""

    code: str
    problem: str
    field: str | None
    offset: int | None


def outcome(run: Callable[[], T]) -> T | Refusal:
    """Return what ``run`` returns, or why it refuses."""
    try:
        return run()
    except PermanentError as error:
        refused = error
    # It ends in logs and on terminals: a builder's bytes must make neither two lines nor anything unprintable of it.
    require(str(refused).isprintable(), f"An error is one printable line: {str(refused)!r}")
    return Refusal(str(refused.code), refused.problem, refused.field, refused.offset)


def require(holds: object, promise: str) -> None:
    """Raise :class:`ContractBrokenError` unless the promise holds."""
    if not holds:
        raise ContractBrokenError(promise)


def require_same(one: object, other: object, promise: str) -> None:
    """Raise :class:`ContractBrokenError` unless the two are equal."""
    if one != other:
        raise ContractBrokenError(f"{promise}: {one!r:.500} is not {other!r:.500}")
