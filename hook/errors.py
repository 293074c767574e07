"""What can be wrong on the builder itself, as stable codes for machines."""

from __future__ import annotations

from enum import StrEnum


class BuilderCode(StrEnum):
    """Codes of :class:`nixcache.errors.PermanentError` that only the builder's side raises."""

    CONFIG_INVALID = "config-invalid"
    NIX_FAILED = "nix-failed"
    NIX_OUTPUT_UNKNOWN = "nix-output-unknown"
    PATH_VANISHED = "path-vanished"
    PATH_CORRUPT = "path-corrupt"
    QUEUE_ENTRY_MALFORMED = "queue-entry-malformed"
