"""JSON that has one meaning for every reader (RFC 8259, and of RFC 7493 what attacks parsers): for what is signed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from nixcache.errors import Code, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterable

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

_MAX_DIGITS: Final = 19
"""A sign apart: 2^63 - 1 has so many."""


def read_object(data: bytes, *, max_size: int, code: Code, what: str) -> dict[str, Json]:
    """Read one JSON object of at most ``max_size`` bytes of UTF-8, no name in it given twice, no NaN, no infinity.

    Numbers that are no integers, or have more than 19 digits, come as floats. ``what`` names the document in the
    :class:`PermanentError` that is raised, with ``code``, for anything else.
    """

    def refuse(problem: str, offset: int | None = None) -> PermanentError:
        remedy = f"Fetch the {what} again, whole and unchanged."
        return PermanentError(code, f"The {what} {problem}.", remedy=remedy, offset=offset)

    if len(data) > max_size:
        raise refuse(f"has {len(data)} bytes or more; {max_size} are allowed", max_size)
    try:
        # Left to json.loads, the bytes would say which encoding they are in, UTF-16 and UTF-32 among them.
        document = json.loads(data.decode(), object_pairs_hook=_object, parse_int=_number, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise refuse("is no UTF-8", error.start) from None
    except json.JSONDecodeError as error:
        raise refuse(f"is no JSON: {error.msg}", len(error.doc[: error.pos].encode())) from None
    except ValueError as error:
        raise refuse(str(error)) from None
    except RecursionError:
        raise refuse("is nested too deeply") from None
    if not isinstance(document, dict):
        raise refuse("is no JSON object")
    return document


def _object(members: Iterable[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, value in members:
        if name in found:
            # One reader takes the first, another the last: each would see another document under one signature.
            raise ValueError(f"has {name[:40]!a} twice in one object")
        found[name] = value
    return found


def _number(text: str) -> int | float:
    """Python takes quadratic time for a long integer, and refuses one of 4,300 digits by a setting of the process."""
    return int(text) if len(text.removeprefix("-")) <= _MAX_DIGITS else float(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"has {text}, which is no JSON")
