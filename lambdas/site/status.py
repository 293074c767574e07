"""``status.json``: how much the cache has published and holds, for the page and for whoever asks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

VERSION: Final = 1
"""Of the document; a reader leaves one of another version alone."""
MAX_STATUS_SIZE: Final = 65_536
"""Bytes: far more than we write."""


@dataclass(frozen=True, slots=True)
class Closed:
    """``total`` store paths were published before the day ``before`` began (UTC), which no later count changes.

    CloudWatch forgets what is older than 455 days; this does not.
    """

    before: date
    total: int


@dataclass(frozen=True, slots=True)
class Published:
    """Verdicts ``published``: all there ever were, and those of the last 30 days, today included."""

    total: int
    last_30_days: int
    closed: Closed


@dataclass(frozen=True, slots=True)
class Stored:
    """What the cache bucket held, in bytes, as S3 measured it, once a day."""

    bytes: int
    measured_at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """The document. None stands for what could not be told."""

    updated_at: datetime
    published: Published | None
    stored: Stored | None

    def to_json(self) -> bytes:
        """Return the document (docs/reference/site.md)."""
        published, stored = self.published, self.stored
        document = {
            "version": VERSION,
            "updatedAt": timestamp(self.updated_at),
            "published": published
            and {
                "total": published.total,
                "last30Days": published.last_30_days,
                "closed": {"before": published.closed.before.isoformat(), "total": published.closed.total},
            },
            "stored": stored and {"bytes": stored.bytes, "measuredAt": timestamp(stored.measured_at)},
        }
        return json.dumps(document, indent=2).encode() + b"\n"


def read_status(data: bytes) -> Status | None:
    """Read a document; None where it is of another version, or broken: then everything is counted anew."""
    try:
        document = json.loads(data)
        if document["version"] != VERSION:
            return None
        return Status(
            datetime.fromisoformat(document["updatedAt"]),
            None if document["published"] is None else _published(document["published"]),
            None if document["stored"] is None else _stored(document["stored"]),
        )
    # RecursionError: what json raises for a document nested a thousand levels deep.
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _published(document: dict[str, Any]) -> Published:
    closed = document["closed"]
    return Published(
        total=int(document["total"]),
        last_30_days=int(document["last30Days"]),
        closed=Closed(date.fromisoformat(closed["before"]), int(closed["total"])),
    )


def _stored(document: dict[str, Any]) -> Stored:
    return Stored(int(document["bytes"]), datetime.fromisoformat(document["measuredAt"]))


def timestamp(moment: datetime) -> str:
    """Return ISO 8601 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
