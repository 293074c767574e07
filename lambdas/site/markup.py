"""HTML that cannot be confused with text: whatever is not known to be markup is escaped on its way in."""

from __future__ import annotations

import html
from dataclasses import dataclass
from string import Template


@dataclass(frozen=True, slots=True)
class Markup:
    """A piece of HTML. Only :func:`fill`, :func:`join` and the page's own files make one."""

    html: str


def fill(template: str, **values: Markup | str | int) -> Markup:
    """Put ``values`` in the places of ``template`` (``${name}``), which is ours; text is escaped, quotes included.

    What a value holds is not looked at again: a ``${…}`` in it stays as it is.
    """
    return Markup(Template(template).substitute({name: _escaped(value) for name, value in values.items()}))


def join(pieces: list[Markup]) -> Markup:
    """Put pieces after one another."""
    return Markup("\n".join(piece.html for piece in pieces))


def _escaped(value: Markup | str | int) -> str:
    return value.html if isinstance(value, Markup) else html.escape(str(value), quote=True)
