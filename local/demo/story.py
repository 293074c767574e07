"""How the demo speaks: numbered steps in plain words, each with its time."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from nixcache.errors import AssayError

_WIDTH: Final = 110
_INDENT: Final = "    "


class DemoError(AssayError):
    """Something did not hold that Assay promises."""


def expect(condition: object, otherwise: str) -> None:
    """Raise :class:`DemoError` that says ``otherwise`` unless ``condition`` holds."""
    if not condition:
        raise DemoError(otherwise)


class Story:
    """Tells on standard output what happens while it happens."""

    def __init__(self) -> None:
        self._steps = 0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the story has lasted."""
        return time.monotonic() - self._started

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step, let the block do it, and say what time it took."""
        self._steps += 1
        print(f"\n{self._steps:2}. {title}", flush=True)
        started = time.monotonic()
        yield
        print(f"{_INDENT}[{time.monotonic() - started:.1f} s]", flush=True)

    def tell(self, text: str) -> None:
        """Say what came of a step."""
        for line in text.splitlines():
            print(_wrapped(line, _INDENT), flush=True)

    def say(self, text: str) -> None:
        """Say something between the steps."""
        print(f"\n{_wrapped(text)}", flush=True)


def _wrapped(text: str, indent: str = "") -> str:
    """Break lines between words only: keys, URLs and store paths are there to be copied."""
    return textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
