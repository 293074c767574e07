"""A progress bar on a terminal, below the lines that scroll by."""

from __future__ import annotations

import os
import shutil
import sys
import time
from threading import RLock
from typing import TYPE_CHECKING, Final

from hook import wording
from hook.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

DRAWN_EVERY_SECONDS: Final = 0.1
_WIDTH: Final = 24
_ERASE: Final = "\r\x1b[K"
_DONE: Final = ("submitted ",)


def report_for(environ: Mapping[str, str], stderr: TextIO | None) -> Report:
    """Return a report with a bar where a person looks on, and one of plain lines everywhere else."""
    plain = environ.get("TERM", "dumb") == "dumb" or environ.get("CI") or environ.get("NO_COLOR")
    return Report() if plain or stderr is None or not stderr.isatty() else ProgressReport(stderr)


class ProgressReport(Report):
    """Draws to ``terminal`` how much of what is planned is in staging; called from several threads."""

    def __init__(self, terminal: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` counts seconds."""
        super().__init__()
        self._terminal = terminal
        self._clock = clock
        # One that its holder may take again: a problem with standard output is told in the middle of a line.
        self._lock = RLock()
        self._paths = self._paths_done = self._bytes = self._bytes_sent = 0
        self._drawn_at = float("-inf")
        self._is_drawn = False

    def document(self, text: str) -> None:
        """Write above the bar."""
        with self._lock:
            self._erase()
            super().document(text)
            if text.startswith(_DONE):
                self._paths_done += 1
            self._draw()

    def problem(self, line: str) -> None:
        """Say it above the bar."""
        with self._lock:
            self._erase()
            super().problem(line)
            self._draw()

    def planned(self, paths: int, size: int) -> None:
        """Make room for more."""
        with self._lock:
            self._paths += paths
            self._bytes += size
            self._draw()

    def sent(self, size: int) -> None:
        """Move the bar on, ten times a second at the most."""
        with self._lock:
            self._bytes_sent += size
            if self._clock() - self._drawn_at >= DRAWN_EVERY_SECONDS:
                self._draw()

    def close(self) -> None:
        """Take the bar away."""
        with self._lock:
            self._erase()
            self._paths = 0

    def _draw(self) -> None:
        if self._paths_done >= self._paths:
            # All of it is in staging; what follows are verdicts, and they are lines.
            self._erase()
            return
        # What is sent again after a failure counts again, so there may be more of it than was planned.
        share = min(1.0, self._bytes_sent / self._bytes) if self._bytes else 0.0
        full = int(share * _WIDTH)
        line = (
            f"[{'#' * full}{'.' * (_WIDTH - full)}] {wording.of_size(self._bytes_sent)} of"
            f" {wording.of_size(self._bytes)}, {self._paths_done} of {self._paths} paths"
        )
        # One that wraps could not be erased.
        self._put(f"{_ERASE}{line[: self._columns() - 1]}")
        self._is_drawn = True
        self._drawn_at = self._clock()

    def _columns(self) -> int:
        """Return the terminal's width: standard output, whose width is easier to have, may be another terminal."""
        try:
            columns = os.get_terminal_size(self._terminal.fileno()).columns
        except (OSError, ValueError):
            columns = 0
        # One that does not know its own size (a serial line) says 0.
        return columns or shutil.get_terminal_size().columns

    def _erase(self) -> None:
        if self._is_drawn:
            self._put(_ERASE)
            self._is_drawn = False

    def _put(self, text: str) -> None:
        try:
            self._terminal.write(text)
            self._terminal.flush()
        except (OSError, ValueError):
            # The terminal is gone; the upload goes on.
            self._paths = 0


def default_report() -> Report:
    """Return the report of this process."""
    return report_for(os.environ, sys.stderr)
