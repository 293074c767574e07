"""Where the uploader's lines go: progress to standard output, problems to standard error."""

from __future__ import annotations

import sys


class Report:
    """One line each. A problem begins with ``assay:``, so that it stands out in a build's or a CI job's log."""

    def __init__(self) -> None:
        self._last_trouble = ""

    def progress(self, line: str) -> None:
        """Say what was done."""
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def planned(self, paths: int, size: int) -> None:
        """Say what lies ahead: so many paths, with so many bytes of NARs in all."""

    def sent(self, size: int) -> None:
        """Say that so many further bytes of NARs are in staging; from any thread."""

    def problem(self, line: str) -> None:
        """Say what is wrong and what to do."""
        sys.stderr.write(f"assay: {' '.join(line.split())}\n")
        sys.stderr.flush()

    def trouble(self, error: Exception | None) -> None:
        """Say what keeps things from going on; once, however often it is met again, until it is over (``None``)."""
        line = str(error or "")
        if line and line != self._last_trouble:
            self.problem(line)
        self._last_trouble = line
