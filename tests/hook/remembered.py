"""A memory of multipart uploads that lasts as long as a test."""

from __future__ import annotations

from threading import Lock

from hook.transfer.multipart import Begun, Part


class Remembered:
    """Is :class:`hook.transfer.multipart.Multiparts`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._uploads: dict[str, tuple[str, dict[int, Part]]] = {}

    def begun(self, key: str) -> Begun | None:
        with self._lock:
            upload = self._uploads.get(key)
            return Begun(upload[0], dict(upload[1])) if upload else None

    def begin(self, key: str, upload_id: str) -> None:
        with self._lock:
            self._uploads[key] = upload_id, {}

    def part(self, key: str, number: int, part: Part) -> None:
        with self._lock:
            self._uploads[key][1][number] = part

    def end(self, key: str) -> None:
        with self._lock:
            self._uploads.pop(key, None)

    def all(self) -> list[tuple[str, str]]:
        with self._lock:
            return [(key, upload_id) for key, (upload_id, _) in self._uploads.items()]
