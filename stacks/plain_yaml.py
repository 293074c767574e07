"""YAML of which every reader makes the same document, with the line of each field.

YAML has more than one way to say most things, and versions that disagree (``no`` is a truth value in 1.1 and a text in
1.2). What decides who may publish must not depend on that: here a text is a text, ``true`` and ``false`` are the truth
values, and a number is decimal; what could be read otherwise is refused with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml
from yaml.reader import ReaderError
from yaml.resolver import Resolver

from nixcache.errors import AssayError
from protocol.fields import member

MAX_SIZE: Final = 256 * 1024
"""Bytes of a file."""
MAX_DEPTH: Final = 8
MAX_NAME_LENGTH: Final = 100

_RESOLVER: Final = Resolver()
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
# Line breaks to YAML 1.1 alone: no editor counts them.
_ODD_BREAK: Final = re.compile("[\x85\u2028\u2029]")
_STAR: Final = 'put a pattern that begins with * into quotes: "*-doc"'


class PlainYamlError(AssayError):
    """A file is no YAML, or not plain. ``field`` is the path of what is wrong, empty where there is none."""

    def __init__(self, line: int, field: str, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.field = field


@dataclass(frozen=True, slots=True)
class PlainYaml:
    """What a file says, in mappings, lists, texts, integers and truth values; an empty one says None."""

    document: object
    lines: dict[str, int]
    """By the path of a field, the line that it begins on, from 1."""

    @classmethod
    def parse(cls, data: bytes) -> PlainYaml:
        """Read a file; raises :class:`PlainYamlError`."""
        if len(data) > MAX_SIZE:
            raise PlainYamlError(1, "", f"the file has more than {MAX_SIZE} bytes")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise PlainYamlError(data.count(b"\n", 0, error.start) + 1, "", "this is not UTF-8") from error
        if odd := _ODD_BREAK.search(text):
            raise _not_allowed(text, odd.start())
        reader = _Reader(text)
        return cls(reader.read(), reader.lines)

    def line_of(self, field: str) -> int:
        """Return the line of a field, or, where it is missing, of what it is missing from."""
        while field not in self.lines:
            # A whole step: `names` is missing from what has a `name`, and not there.
            field = field[: max(field.rfind("."), field.rfind("["), 0)]
        return self.lines[field]


class _Reader:
    """Reads the parser's events, and not the nodes that it makes of them: composing knows no bound of depth."""

    def __init__(self, text: str) -> None:
        self.lines = {"": 1}
        self._events = self._parse(text)
        self._line = 1

    def read(self) -> object:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        document = self._node(next(self._events), "", 0)
        next(self._events)  # the document's end
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            raise self._error("", "a second document begins here, and only one is read")
        return document

    def _parse(self, text: str) -> Iterator[yaml.Event]:
        try:
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                if event.start_mark is not None:
                    self._line = event.start_mark.line + 1
                yield event
        except ReaderError as error:
            raise _not_allowed(text, error.position) from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = self._line if mark is None else mark.line + 1
            hint = f"; {_STAR}" if "alias" in (error.context or "") else ""
            raise PlainYamlError(line, "", f"this is no YAML: {error.problem}{hint}") from error
        except (ValueError, OverflowError) as error:
            # Python's own, which PyYAML lets through: an escape beyond Unicode, a version of 5,000 digits.
            raise self._error("", "what follows is no YAML") from error

    def _node(self, event: yaml.Event, field: str, depth: int) -> object:
        self.lines.setdefault(field, self._line)
        if depth > MAX_DEPTH:
            raise self._error(field, f"is nested more than {MAX_DEPTH} levels deep")
        self._check(event, field)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(field, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, field)
        return self._sequence(field, depth)

    def _check(self, event: yaml.Event, field: str) -> None:
        """Refuse what makes one place of a document depend on another, or on a program's types."""
        match event:
            case yaml.AliasEvent():
                raise self._error(field, f"an alias (*) stands here, and none is read; {_STAR}")
            case yaml.NodeEvent(anchor=str()):
                raise self._error(field, "an anchor (&) stands here, and none is read")
            case yaml.CollectionStartEvent(tag=str()) | yaml.ScalarEvent(tag=str()):
                raise self._error(field, "a tag (!) stands here, and none is read")

    def _mapping(self, field: str, depth: int) -> dict[str, object]:
        members: dict[str, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name, line = self._name(event, field), self._line
            inner = member(field, name)
            if name in members:
                raise self._error(inner, f"is there twice; the first is on line {self.lines[inner]}")
            self.lines[inner] = line
            members[name] = self._node(next(self._events), inner, depth + 1)
        return members

    def _name(self, event: yaml.Event, field: str) -> str:
        self._check(event, field)
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(field, "a mapping or list stands where the name of a field is wanted")
        if _kind(event) != "str":
            raise self._error(field, f"{event.value[:100]!r} is no text for YAML: put the name of a field into quotes")
        if len(event.value) > MAX_NAME_LENGTH:
            raise self._error(field, f"the name of a field has more than {MAX_NAME_LENGTH} characters")
        return event.value

    def _sequence(self, field: str, depth: int) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, f"{field}[{len(items)}]", depth + 1))
        return items

    def _scalar(self, event: yaml.ScalarEvent, field: str) -> str | int | bool:
        text = event.value
        shown = repr(text[:100])
        match _kind(event):
            case "str":
                return text
            case "bool" if text in {"true", "false"}:
                return text == "true"
            case "int" if _INTEGER.fullmatch(text):
                return int(text)
            case "null":
                raise self._error(field, "is empty; leave it out, or say what it is")
            case "bool":
                raise self._error(field, f"is {shown}, which some read as a truth value: write true, false or quotes")
            case "int" | "float":
                raise self._error(field, f"is {shown}; write a number in decimal digits, and a text in quotes")
            case kind:
                raise self._error(field, f"is {shown}, which YAML takes for a {kind}: put a text into quotes")

    def _error(self, field: str, problem: str) -> PlainYamlError:
        return PlainYamlError(self._line, field, problem)


def _not_allowed(text: str, position: int) -> PlainYamlError:
    line = text.count("\n", 0, position) + 1
    return PlainYamlError(line, "", f"the character U+{ord(text[position]):04X} is not allowed")


def _kind(event: yaml.ScalarEvent) -> str:
    """Return what YAML 1.1 takes a scalar for: ``str``, ``bool``, ``int``, ``float``, ``null`` and others."""
    quoted = not event.implicit[0]
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call] # PyYAML's
    return "str" if quoted else tag.rpartition(":")[2]
