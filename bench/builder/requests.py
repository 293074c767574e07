"""What came to the server, by kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from protocol.keys import NARINFO_SUFFIX

_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``at`` is when its answer was there, in seconds of the monotonic clock, ``size`` is in bytes."""

    at: float
    method: str
    path: str
    query: frozenset[str]
    size: int

    @property
    def is_part(self) -> bool:
        """Whether it is one of a multipart upload's: its beginning, a part, its end."""
        return not self.query.isdisjoint(("uploads", "uploadId"))

    def is_narinfo_in(self, bucket: str) -> bool:
        """Whether it puts a narinfo into ``bucket``."""
        return self.method == "PUT" and self.path.startswith(f"/{bucket}/") and self.path.endswith(NARINFO_SUFFIX)


@dataclass(frozen=True, slots=True)
class Requests:
    """Those of one contestant."""

    all: tuple[Request, ...]

    @property
    def reads(self) -> int:
        """GET and HEAD."""
        return sum(request.method in {"GET", "HEAD"} for request in self.all)

    @property
    def writes(self) -> int:
        """PUT of a whole object."""
        return sum(request.method == "PUT" and not request.is_part for request in self.all)

    @property
    def parts(self) -> int:
        """Those of multipart uploads."""
        return sum(request.is_part for request in self.all)

    @property
    def nar_bytes(self) -> int:
        """Bytes of NARs' files, as they came."""
        return sum(request.size for request in self.all if request.method == "PUT" and ".nar" in _suffixes(request))


class RequestLog:
    """The file that the server writes, from now on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._begin = file.stat().st_size

    def requests(self) -> Requests:
        """Return what has come since."""
        with self._file.open("rb") as opened:
            opened.seek(self._begin)
            data = opened.read()
        return Requests(tuple(_parse(data[: data.rfind(b"\n") + 1].decode())))

    def wait_for_narinfos(self, bucket: str, count: int, *, timeout: float, alive: Callable[[], bool]) -> float | None:
        """Wait until ``count`` different narinfos are in ``bucket``; return when the last of them came, or None.

        None after ``timeout`` seconds, or when ``alive`` no longer holds.
        """
        deadline = time.monotonic() + timeout
        arrived: dict[str, float] = {}
        with self._file.open("rb") as opened:
            opened.seek(self._begin)
            rest = b""
            while True:
                was_alive = alive()
                whole, newline, rest = (rest + opened.read()).rpartition(b"\n")
                for request in _parse((whole + newline).decode()):
                    if request.is_narinfo_in(bucket):
                        arrived.setdefault(request.path, request.at)
                if len(arrived) >= count:
                    return max(arrived.values())
                if not was_alive or time.monotonic() > deadline:
                    return None
                time.sleep(_POLL_SECONDS)


def _suffixes(request: Request) -> list[str]:
    return PurePosixPath(request.path).suffixes


def _parse(lines: str) -> Iterator[Request]:
    for line in lines.splitlines():
        at, method, path, names, size = line.split(" ")
        yield Request(float(at), method, path, frozenset(names.split(",")), int(size))
