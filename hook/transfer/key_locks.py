"""One lock for each object key in use: two store paths with equal contents share a NAR, and its key."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class KeyLocks:
    """Remembers only the keys that somebody is at."""

    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._changed = Condition()

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Wait for ``key``, and keep it for the block."""
        with self._changed:
            self._changed.wait_for(lambda: key not in self._busy)
            self._busy.add(key)
        try:
            yield
        finally:
            self._release(key)

    @contextmanager
    def if_free(self, key: str) -> Iterator[bool]:
        """Keep ``key`` for the block if nobody is at it; tells whether that is so."""
        with self._changed:
            free = key not in self._busy
            if free:
                self._busy.add(key)
        try:
            yield free
        finally:
            if free:
                self._release(key)

    def _release(self, key: str) -> None:
        with self._changed:
            self._busy.remove(key)
            self._changed.notify_all()
