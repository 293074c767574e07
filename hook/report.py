"""Where the uploader's lines go: progress to standard output, problems to standard error."""

from __future__ import annotations

import os
import sys
from typing import TextIO


class Report:
    """One line each. A problem begins with ``assay:``, so that it stands out in a build's or a CI job's log.

    Nobody's work ends because nobody listens any more: what cannot be written is dropped. ``is_lost`` says whether
    standard output failed otherwise than by its reader's going away: a full disk, say.
    """

    def __init__(self) -> None:
        self._last_trouble = ""
        self.is_lost = False

    def progress(self, line: str) -> None:
        """Say what was done."""
        self.document(_harmless(line))

    def document(self, text: str) -> None:
        """Write ``text`` (JSON, a script) as it is, and a newline."""
        try:
            _write(sys.stdout, text)
        except BrokenPipeError:
            _silence(sys.stdout)
        except (OSError, ValueError):
            self.is_lost = True
            _silence(sys.stdout)

    def planned(self, paths: int, size: int) -> None:
        """Say what lies ahead: so many paths, with so many bytes of NARs in all."""

    def sent(self, size: int) -> None:
        """Say that so many further bytes of NARs are in staging; from any thread."""

    def problem(self, line: str) -> None:
        """Say what is wrong and what to do."""
        try:
            _write(sys.stderr, f"assay: {_harmless(' '.join(line.split()))}")
        except (OSError, ValueError):
            _silence(sys.stderr)

    def trouble(self, error: Exception | None) -> None:
        """Say what keeps things from going on; once, however often it is met again, until it is over (``None``)."""
        line = str(error or "")
        if line and line != self._last_trouble:
            self.problem(line)
        self._last_trouble = line

    def close(self) -> None:
        """Leave the terminal as it was."""


def _write(stream: TextIO | None, text: str) -> None:
    # Python has none where the descriptor was closed before it started.
    if stream is not None:
        stream.write(f"{text}\n")
        stream.flush()


def _harmless(text: str) -> str:
    """Return ``text`` without what steers a terminal: builds and services wrote parts of it."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def _silence(stream: TextIO) -> None:
    """Let what follows go nowhere: Python itself would complain at its end about what it could not write."""
    try:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
    except (OSError, ValueError):
        return
