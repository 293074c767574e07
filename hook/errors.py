"""What can be wrong on the builder itself: stable codes for machines, and causes that say how long to wait."""

from __future__ import annotations

from enum import StrEnum

from nixcache.errors import TransientError


class BuilderCode(StrEnum):
    """Codes of :class:`nixcache.errors.PermanentError` that only the builder's side raises."""

    CONFIG_INVALID = "config-invalid"
    NIX_FAILED = "nix-failed"
    NIX_OUTPUT_UNKNOWN = "nix-output-unknown"
    PATH_VANISHED = "path-vanished"
    PATH_CORRUPT = "path-corrupt"
    QUEUE_ENTRY_MALFORMED = "queue-entry-malformed"


class Cause(StrEnum):
    """What keeps a queued path from going on: each has a patience of its own."""

    NETWORK = "network"
    """Nothing answers, or nothing whole: over in seconds, or with the next train station."""
    THROTTLED = "throttled"
    """S3 or a cache asks for fewer requests."""
    CREDENTIALS = "credentials"
    """There are none, or they have expired: a refresh, or somebody's doing."""
    SERVICE = "service"
    """The bucket, the role or the configuration is wrong: somebody's doing."""
    MACHINE = "machine"
    """Nix or the disk of this machine."""


class Trouble(TransientError):  # noqa: N818 - its branch of the tree says that it is an error
    """A :class:`TransientError` whose ``cause`` is known."""

    def __init__(self, cause: Cause, problem: str, *, remedy: str = "") -> None:
        """Remember what kind of trouble it is, what is wrong, and what to do about it."""
        super().__init__(problem, remedy=remedy)
        self.cause = cause


def of_disk(error: OSError) -> Trouble:
    """Return what the operating system's ``error`` means for the queue."""
    place = f" {error.filename}" if error.filename else ""
    return Trouble(
        Cause.MACHINE,
        f"The queue cannot be read or written:{place} {error.strerror}.",
        remedy="Check the free space and the permissions there.",
    )
