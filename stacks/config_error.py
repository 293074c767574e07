"""What is wrong with a configuration file, and where."""

from __future__ import annotations

from nixcache.errors import AssayError


class ConfigError(AssayError):
    """A configuration file is missing or wrong: one line that names file, line and field, and says what is wanted.

    ``field`` is its path (``builders.ci.names[0]``), empty for the file as a whole; ``line`` counts from 1.
    """

    def __init__(self, file: str, line: int, field: str, problem: str) -> None:
        super().__init__(f"{file}:{line}: {field and f'{field}: '}{problem}")
        self.line = line
        self.field = field
