"""What functions use: they write it down as they go, one line each, and the bench adds the lines up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

READ: Final = "GET, HEAD"
WRITE: Final = "PUT"
COPY: Final = "COPY"
LIST: Final = "LIST"
DELETE: Final = "DELETE"
SQS: Final = "SQS"
SECRETS: Final = "Secrets Manager"
KINDS: Final = (READ, WRITE, COPY, LIST, DELETE, SQS, SECRETS)

_KINDS_OF: Final = {
    "GetObject": READ,
    "HeadObject": READ,
    "PutObject": WRITE,
    "CreateMultipartUpload": WRITE,
    "CompleteMultipartUpload": WRITE,
    "CopyObject": COPY,
    "UploadPartCopy": COPY,
    "ListObjectsV2": LIST,
    "ListObjectVersions": LIST,
    "DeleteObjects": DELETE,
    "SendMessageBatch": SQS,
    "ChangeMessageVisibility": SQS,
    "GetSecretValue": SECRETS,
}
_SUFFIX: Final = ".usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Requests that ingest sent by kind, faults that it met by name, and its invocations.

    An invocation takes a batch of ``deliveries``; ``cpu_seconds`` leave out what a container does once, before its
    first.
    """

    requests: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    invocations: int = 0
    deliveries: int = 0
    cpu_seconds: float = 0.0

    def since(self, before: Usage) -> Usage:
        """Return what was used since ``before``."""
        return Usage(
            requests=self.requests - before.requests,
            faults=self.faults - before.faults,
            invocations=self.invocations - before.invocations,
            deliveries=self.deliveries - before.deliveries,
            cpu_seconds=self.cpu_seconds - before.cpu_seconds,
        )


class UsageLog:
    """The file that one process writes."""

    def __init__(self, directory: Path, process: int) -> None:
        """Begin ``process``'s in ``directory``."""
        self._file = (directory / f"{process}{_SUFFIX}").open("w", buffering=1)

    def sent(self, operation: str) -> None:
        """Write down an attempt that went out."""
        self._file.write(f"sent {operation}\n")

    def faulted(self, fault: str) -> None:
        """Write down that something was made to fail."""
        self._file.write(f"fault {fault}\n")

    def invoked(self, deliveries: int, cpu_seconds: float) -> None:
        """Write down an invocation that has ended."""
        self._file.write(f"invoked {deliveries} {cpu_seconds}\n")


def read_usage(directory: Path) -> Usage:
    """Return what all processes together have used so far."""
    requests: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    invocations, deliveries, cpu_seconds = 0, 0, 0.0
    for what, about in _lines(directory):
        match what:
            case "sent":
                requests[_KINDS_OF[about]] += 1
            case "fault":
                faults[about] += 1
            case "invoked":
                batch, seconds = about.split()
                invocations += 1
                deliveries += int(batch)
                cpu_seconds += float(seconds)
    return Usage(
        requests=requests, faults=faults, invocations=invocations, deliveries=deliveries, cpu_seconds=cpu_seconds
    )


def _lines(directory: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(directory.glob(f"*{_SUFFIX}")):
        for line in file.read_text().splitlines():
            what, _, about = line.partition(" ")
            yield what, about
