"""Reading a document that people or programs wrote, field by field, with an error that names the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from nixcache.errors import AssayError

FieldError: TypeAlias = Callable[[str, str], AssayError]
"""Makes the error for a field's path (``builders.ci.names[0]``) and a problem that goes on after it (``is empty``)."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def member(path: str, name: str) -> str:
    """Return the path of a field; a name that would not stand on one line is quoted."""
    shown = name if _PLAIN.fullmatch(name) else repr(name)
    return f"{path}.{shown}" if path else shown


class Fields:
    """The fields of one object, each taken once; :meth:`nothing_else` finds what nobody took (a misspelt name)."""

    def __init__(self, path: str, value: object, error: FieldError) -> None:
        """``path`` is the object's own, empty for a whole document; raises what ``error`` makes, as all methods do."""
        if not isinstance(value, Mapping):
            raise error(path, "is missing" if value is None else f"{_shown(value)}, not an object")
        self.path = path
        self.error = error
        self._left: dict[str, object] = {str(name): item for name, item in value.items()}

    def field(self, name: str) -> str:
        """Return the path of a field of this object."""
        return member(self.path, name)

    def __contains__(self, name: str) -> bool:
        """Tell whether the field is there and nobody took it yet."""
        return name in self._left

    def text(self, name: str, pattern: re.Pattern[str] | None = None, wanted: str = "") -> str:
        """Take a text; ``pattern`` has to match all of it, and ``wanted`` says that in words."""
        value = self._left.pop(name, None)
        if not isinstance(value, str):
            raise self.error(self.field(name), "is missing" if value is None else _no_text(value))
        if pattern is not None and not pattern.fullmatch(value):
            raise self.error(self.field(name), f"{value[:100]!r} is not {wanted}")
        return value

    def integer(self, name: str, of: str, *, least: int, most: int) -> int:
        """Take a whole number; ``of`` says what it counts."""
        value = self._left.pop(name, None)
        # bool is an int to Python, and `"maxNarSize": true` would mean one byte.
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            problem = "is missing" if value is None else f"{_shown(value)}, not a number of {of} from {least} to {most}"
            raise self.error(self.field(name), problem)
        return value

    def boolean(self, name: str) -> bool:
        """Take a truth value."""
        value = self._left.pop(name, None)
        if not isinstance(value, bool):
            raise self.error(self.field(name), "is missing" if value is None else f"{_shown(value)}, not true or false")
        return value

    def texts(self, name: str) -> list[str]:
        """Take a list of texts; empty where the field is missing."""
        texts: list[str] = []
        for position, value in enumerate(self._list(name)):
            if not isinstance(value, str):
                raise self.error(f"{self.field(name)}[{position}]", _no_text(value))
            texts.append(value)
        return texts

    def objects(self, name: str) -> list[Fields]:
        """Take a list of objects; empty where the field is missing."""
        return [Fields(f"{self.field(name)}[{n}]", value, self.error) for n, value in enumerate(self._list(name))]

    def child(self, name: str) -> Fields:
        """Take an object."""
        return Fields(self.field(name), self._left.pop(name, None), self.error)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields that nobody took yet."""
        return tuple(self._left)

    def members(self) -> Iterator[tuple[str, Fields]]:
        """Take all fields, each of which is an object."""
        for name in list(self._left):
            yield name, self.child(name)

    def nothing_else(self) -> None:
        """Refuse the first field that nobody took."""
        for name in self._left:
            raise self.error(self.field(name), "is no field that Assay knows")

    def _list(self, name: str) -> list[object]:
        value = self._left.pop(name, [])
        if not isinstance(value, list):
            raise self.error(self.field(name), f"{_shown(value)}, not a list")
        return value


def _shown(value: object) -> str:
    return f"is {value!r:.100}"


def _no_text(value: object) -> str:
    # An account's number, a version: what looks like a number only has to be quoted.
    hint = "; put it into quotes" if isinstance(value, int | float) else ""
    return f"{_shown(value)}, not a text{hint}"
