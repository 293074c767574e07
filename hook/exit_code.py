"""The exit codes of the command line, stable, in one place."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """How a command ended; ``meaning`` is what ``assay --help`` says of it."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """Give each code the sentence that documents it."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DONE = 0, "done; after an upload: every path is published (or was already)"
    REFUSED = (
        1,
        "at least one path was rejected, conflicts with another build, is unreadable or unknown; doctor: a fault",
    )
    USAGE = 2, "wrong usage or configuration; nothing was done"
    TIMED_OUT = 3, "no verdict in time; everything is kept in the queue"
    TROUBLE = 4, "network, credentials, AWS or disk stood in the way; everything is kept in the queue"
    INTERRUPTED = 130, "interrupted; everything is kept in the queue"
