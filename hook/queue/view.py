"""What anybody may know of a queue, whether a process owns it now or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from hook.queue import control
from hook.queue.overview import Concluded, Known, Overview
from hook.queue.queue import Queue, looked_at_for_too_long
from hook.report import Report
from nixcache.errors import PermanentError
from nixcache.store_path import StoreDir, StorePath

__all__ = ["Concluded", "Known", "Overview", "QueueView"]

T = TypeVar("T")

PAGE: Final = 10_000
"""Refused paths that are asked for at once."""
_PATIENCE_SECONDS: Final = 15.0
"""For others who look at the same moment, and for an owner that is about to answer, or to end."""
_PAUSE_SECONDS: Final = 0.02


class QueueView:
    """Asks the process that owns the queue in ``state_dir``, or, where none does, opens it for as long as it takes.

    An ordinary user can do only the former where the queue is root's: otherwise PermissionError is raised.
    """

    def __init__(self, state_dir: Path, store_dir: StoreDir) -> None:
        self.state_dir = state_dir
        self.store_dir = store_dir

    def overview(self, *, limit: int, rejected: bool = True) -> Overview:
        """Return counts, and ``limit`` entries (with the ``rejected`` or without) and conclusions at the most.

        Raises TransientError and OSError.
        """
        return self._either(
            lambda queue: queue.overview(limit=limit, rejected=rejected),
            {"ask": "overview", "limit": limit, "rejected": rejected},
            lambda answer: Overview.parse(answer["overview"], self.store_dir),
        )

    def known(self, paths: Iterable[StorePath]) -> dict[StorePath, Known]:
        """Return what is known of each of ``paths``, spooled ones included; raises TransientError and OSError."""
        found: dict[StorePath, Known] = {}
        for some in _chunks(paths):
            found |= self._known(some)
        return found

    def refused(self) -> Iterator[list[StorePath]]:
        """Yield all that were refused, many at a time; what is forgotten meanwhile hides nothing.

        Raises TransientError and OSError.
        """
        after: StorePath | None = None
        while page := self._refused(after):
            yield page
            after = page[-1]

    def nudge(self) -> bool:
        """Have the owner look at the spool now, and try what it had postponed; False where nobody owns the queue.

        Raises TransientError and OSError.
        """
        return control.ask(self.state_dir, ask="nudge") is not None

    def forget(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """Drop those of ``paths`` that were refused, and return them; raises TransientError and OSError."""
        forgotten: set[StorePath] = set()
        for some in _chunks(paths):
            forgotten |= self._forget(some)
        return forgotten

    def _known(self, paths: list[StorePath]) -> dict[StorePath, Known]:
        return self._either(
            lambda queue: queue.known(paths),
            {"ask": "known", "paths": [path.base_name for path in paths]},
            lambda answer: {
                StorePath.from_base_name(path): Known.parse(known, self.store_dir)
                for path, known in answer["known"].items()
            },
        )

    def _refused(self, after: StorePath | None) -> list[StorePath]:
        return self._either(
            lambda queue: queue.refused(PAGE, after),
            {"ask": "refused", "limit": PAGE, "after": after.base_name if after else ""},
            lambda answer: [StorePath.from_base_name(path) for path in answer["refused"]],
        )

    def _forget(self, paths: list[StorePath]) -> set[StorePath]:
        return self._either(
            lambda queue: queue.forget(paths),
            {"ask": "forget", "paths": [path.base_name for path in paths]},
            lambda answer: {StorePath.from_base_name(path) for path in answer["forgotten"]},
        )

    def _either(
        self, look: Callable[[Queue], T], request: dict[str, object], parse: Callable[[dict[str, Any]], T]
    ) -> T:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            denied: PermissionError | None = None
            queue = Queue(self.state_dir, self.store_dir, report=Report())
            try:
                with queue.looked_at() as ours:
                    if ours:
                        return look(queue)
            except PermissionError as error:
                denied = error  # only the owner may open it; who owns it may tell us all the same
            answer = control.ask(self.state_dir, **request)
            if answer is not None:
                try:
                    return parse(answer)
                except (PermanentError, KeyError, TypeError, ValueError, AttributeError):
                    raise control.misunderstood() from None
            if denied:
                raise denied
            if time.monotonic() > deadline:
                raise looked_at_for_too_long(self.state_dir)
            time.sleep(_PAUSE_SECONDS)


def _chunks(paths: Iterable[StorePath]) -> Iterator[list[StorePath]]:
    every = list(paths)
    for start in range(0, len(every), control.PATHS_AT_ONCE):
        yield every[start : start + control.PATHS_AT_ONCE]
