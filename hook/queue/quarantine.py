"""Where what cannot be read is set aside: moved, never dropped, and always with a message."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hook import post_build

if TYPE_CHECKING:
    from pathlib import Path

    from hook.report import Report
    from nixcache.errors import PermanentError


class Quarantine:
    """A directory, made when it is first needed. ``used`` tells whether this object has set anything aside."""

    def __init__(self, directory: Path, report: Report) -> None:
        self.used = False
        self._directory = directory
        self._report = report

    def files(self) -> list[Path]:
        """Return what was set aside, by name; raises OSError."""
        return sorted(self._directory.iterdir()) if self._directory.is_dir() else []

    def move(self, file: Path, error: PermanentError, *, companions: tuple[str, ...] = ()) -> None:
        """Move ``file`` in, with the files of its name and one of the suffixes ``companions``; raises OSError."""
        aside = self._place(file.name)
        file.rename(aside)
        for suffix in companions:
            companion = file.with_name(f"{file.name}{suffix}")
            if companion.exists():
                companion.rename(f"{aside}{suffix}")
        self._tell(aside, error)

    def keep(self, name: str, data: bytes, error: PermanentError) -> None:
        """Write ``data`` as a file of its own; raises OSError."""
        aside = self._place(name)
        aside.write_bytes(data)
        self._tell(aside, error)

    def _place(self, name: str) -> Path:
        post_build.make_directory(str(self._directory))
        return self._directory / f"{name}.{time.time_ns()}"

    def _tell(self, aside: Path, error: PermanentError) -> None:
        self.used = True
        self._report.problem(f"{error} It is {aside}.")
