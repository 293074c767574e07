"""What the queue's database remembers of multipart uploads that are under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hook.transfer.multipart import Begun, Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from hook.queue.database import Database


class RecordedMultiparts:
    """Is :class:`hook.transfer.multipart.Multiparts`: thread-safe, and durable once a method has returned.

    ``opened`` returns the database, which may be opened only later. Each method raises :class:`hook.errors.Trouble`
    where the disk is full.
    """

    def __init__(self, opened: Callable[[], Database]) -> None:
        self._opened = opened

    def begun(self, key: str) -> Begun | None:
        """Return the upload to ``key`` that is under way."""
        with self._opened().transaction() as connection:
            row = connection.execute("SELECT upload_id FROM multiparts WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            parts = connection.execute("SELECT number, sha256, size, etag FROM parts WHERE key = ?", (key,)).fetchall()
        return Begun(row[0], {number: Part(sha256, size, etag) for number, sha256, size, etag in parts})

    def begin(self, key: str, upload_id: str) -> None:
        """Remember a new upload to ``key``; what was remembered of an earlier one is forgotten."""
        with self._opened().transaction() as connection:
            connection.execute("DELETE FROM parts WHERE key = ?", (key,))
            connection.execute("INSERT OR REPLACE INTO multiparts VALUES (?, ?)", (key, upload_id))

    def part(self, key: str, number: int, part: Part) -> None:
        """Remember a part that the bucket has confirmed; of no upload that has ended meanwhile."""
        with self._opened().transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO parts SELECT key, ?, ?, ?, ? FROM multiparts WHERE key = ?",
                (number, part.sha256, part.size, part.etag, key),
            )

    def end(self, key: str) -> None:
        """Forget the upload to ``key``."""
        with self._opened().transaction() as connection:
            connection.execute("DELETE FROM parts WHERE key = ?", (key,))
            connection.execute("DELETE FROM multiparts WHERE key = ?", (key,))

    def all(self) -> list[tuple[str, str]]:
        """Return key and upload id of all that are under way."""
        with self._opened().transaction() as connection:
            rows: list[tuple[str, str]] = connection.execute("SELECT key, upload_id FROM multiparts").fetchall()
        return rows
