"""Entries and conclusions in the queue's database: all of its SQL but that of multipart uploads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from hook.backoff import LONGEST
from hook.queue.entry import SCHEMA, Entry, Queued, Refused, Submitted, details
from hook.queue.overview import Concluded
from nixcache.errors import PermanentError
from nixcache.store_path import StorePath

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from hook.queue.database import Database
    from hook.queue.quarantine import Quarantine
    from nixcache.store_path import StoreDir

JOURNAL_LENGTH: Final = 1000
"""Conclusions that are remembered."""

_COLUMNS: Final = "path, state, queued_at, next_at, progress"
_VARIABLES: Final = 500
"""In one statement: older builds of SQLite take 999 at the most."""
_HASTENED_AT_ONCE: Final = 10_000
_TRY_NOW: Final = """
UPDATE entries SET next_at = 0
WHERE path IN (SELECT path FROM entries WHERE state = 'queued' AND next_at > 0 LIMIT ?)
"""
# Ever more that waits for what is blocked; each path once, whatever circle they form.
_BLOCKED: Final = """
WITH RECURSIVE blocked (path) AS (
    SELECT waits.path FROM entries JOIN waits ON waits.missing = entries.path WHERE entries.state = 'rejected'
    UNION SELECT waits.path FROM blocked JOIN waits ON waits.missing = blocked.path
)
SELECT path FROM blocked
"""


class Table:
    """One row for each store path. A row that cannot be read is set aside; every method raises :class:`Trouble`."""

    def __init__(self, database: Database, store_dir: StoreDir, quarantine: Quarantine) -> None:
        self._database = database
        self._store_dir = store_dir
        self._quarantine = quarantine

    def get_many(self, paths: Iterable[StorePath]) -> dict[StorePath, Entry]:
        """Return the entries of those of ``paths`` that have one."""
        found: dict[StorePath, Entry] = {}
        with self._database.transaction() as connection:
            for some, marks in _by_base_name(paths):
                rows = connection.execute(f"SELECT {_COLUMNS} FROM entries WHERE path IN ({marks})", some)  # noqa: S608
                found |= {entry.path: entry for entry in self._entries(connection, rows.fetchall())}
        return found

    def save(self, entries: Iterable[Entry]) -> None:
        """Write all of ``entries``, or none."""
        with self._database.transaction() as connection:
            for entry in entries:
                path, progress = entry.path.base_name, entry.progress
                next_at = progress.next_attempt_at if isinstance(progress, Queued) else 0.0
                row = (path, progress.state, entry.queued_at, next_at, json.dumps(details(progress)))
                connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", row)
                connection.execute("DELETE FROM waits WHERE path = ?", (path,))
                if isinstance(progress, Submitted):
                    waits = {(missing.base_name, path) for missing in progress.waits_for}
                    connection.executemany("INSERT INTO waits VALUES (?, ?)", waits)

    def drop_refused(self, paths: Iterable[StorePath]) -> None:
        """Delete the entries of those of ``paths`` that are refused: those wait for nothing."""
        with self._database.transaction() as connection:
            for some, marks in _by_base_name(paths):
                connection.execute(
                    f"DELETE FROM entries WHERE state = 'rejected' AND path IN ({marks})",  # noqa: S608
                    some,
                )

    def due(self, now: float, limit: int) -> list[Entry]:
        """Return what is queued and to be tried by ``now``, the oldest first."""
        # Two kinds, half and half where both are many: neither what is new nor what failed can starve the other.
        fresh = self._select("state = 'queued' AND next_at = 0 ORDER BY queued_at LIMIT ?", limit)
        again = self._select("state = 'queued' AND next_at > 0 AND next_at <= ? ORDER BY next_at LIMIT ?", now, limit)
        far = self._select("state = 'queued' AND next_at > ? LIMIT ?", now + LONGEST, limit)
        again = (again + far)[:limit]
        chosen = fresh[: max(limit - len(again), (limit + 1) // 2)]
        chosen += again[: limit - len(chosen)]
        return sorted(chosen, key=_age)

    def next_due(self) -> float | None:
        """Return when the first of what is queued is to be tried."""
        with self._database.transaction() as connection:
            (at,) = connection.execute("SELECT MIN(next_at) FROM entries WHERE state = 'queued'").fetchone()
        return None if at is None else float(at)

    def try_all_now(self) -> None:
        """Postpone nothing any longer."""
        changed = -1
        while changed:
            # A part at a time: others must not wait for a million.
            with self._database.transaction() as connection:
                changed = connection.execute(_TRY_NOW, (_HASTENED_AT_ONCE,)).rowcount

    def submitted(self, limit: int, after: StorePath | None) -> list[Entry]:
        """Return the submitted in the order of their paths, from the one behind ``after`` on."""
        first = after.base_name if after else ""
        return self._select("state = 'submitted' AND path > ? ORDER BY path LIMIT ?", first, limit)

    def oldest(self, limit: int, *, rejected: bool) -> list[Entry]:
        """Return the oldest of all, or of those that were not refused."""
        which = "1" if rejected else "state != 'rejected'"
        return self._select(f"{which} ORDER BY queued_at, path LIMIT ?", limit)

    def refused(self, limit: int, after: StorePath | None) -> list[StorePath]:
        """Return the refused in the order of their paths, from the one behind ``after`` on."""
        first = after.base_name if after else ""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT path FROM entries WHERE state = 'rejected' AND path > ? ORDER BY path LIMIT ?", (first, limit)
            ).fetchall()
        return [StorePath.from_base_name(path) for (path,) in rows]

    def counts(self) -> dict[str, int]:
        """Return how many there are in each state, none included."""
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT state, COUNT(*) FROM entries GROUP BY state").fetchall()
        return {kind.state: 0 for kind in (Queued, Submitted, Refused)} | dict(rows)

    def blocked(self) -> set[StorePath]:
        """Return the submitted that wait, through however many others, for one that was refused."""
        with self._database.transaction() as connection:
            rows = connection.execute(_BLOCKED).fetchall()
        return {StorePath.from_base_name(path) for (path,) in rows}

    def conclude(self, concluded: Concluded) -> None:
        """Turn an entry into a line of the journal, and forget what is too old there."""
        row = (concluded.path.base_name, concluded.at, concluded.outcome, concluded.remark)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM entries WHERE path = ?", row[:1])
            connection.execute("DELETE FROM waits WHERE path = ?", row[:1])
            connection.execute("INSERT INTO journal (path, at, outcome, remark) VALUES (?, ?, ?, ?)", row)
            connection.execute("DELETE FROM journal WHERE id <= (SELECT MAX(id) FROM journal) - ?", (JOURNAL_LENGTH,))

    def newest_concluded(self, limit: int) -> list[Concluded]:
        """Return the newest conclusions, the newest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT path, at, outcome, remark FROM journal ORDER BY id DESC LIMIT ?", (limit,)
            ).fetchall()
        return [_concluded(row) for row in rows]

    def concluded(self, paths: Iterable[StorePath]) -> dict[StorePath, Concluded]:
        """Return how those of ``paths`` left that are remembered."""
        found: dict[StorePath, Concluded] = {}
        with self._database.transaction() as connection:
            for some, marks in _by_base_name(paths):
                rows = connection.execute(
                    f"SELECT path, at, outcome, remark FROM journal WHERE path IN ({marks}) ORDER BY id",  # noqa: S608
                    some,
                )
                found |= {concluded.path: concluded for concluded in map(_concluded, rows.fetchall())}
        return found

    def remember_present(self, paths: Iterable[StorePath], until: float) -> None:
        """Remember that ``paths`` need no upload."""
        with self._database.transaction() as connection:
            rows = [(path.base_name, until) for path in paths]
            connection.executemany("INSERT OR REPLACE INTO present VALUES (?, ?)", rows)

    def recall_present(self, paths: Iterable[StorePath], now: float) -> set[StorePath]:
        """Return those of ``paths`` that are remembered, and forget what is so no longer."""
        found: set[StorePath] = set()
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM present WHERE until <= ?", (now,))
            for some, marks in _by_base_name(paths):
                rows = connection.execute(f"SELECT path FROM present WHERE path IN ({marks})", some)  # noqa: S608
                found |= {StorePath.from_base_name(path) for (path,) in rows.fetchall()}
        return found

    def forget_present(self, paths: Iterable[StorePath]) -> None:
        """Remember no more that ``paths`` need no upload."""
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM present WHERE path = ?", [(path.base_name,) for path in paths])

    def _select(self, condition: str, *values: object) -> list[Entry]:
        with self._database.transaction() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM entries WHERE {condition}", values)  # noqa: S608
            return self._entries(connection, rows.fetchall())

    def _entries(self, connection: sqlite3.Connection, rows: list[tuple[Any, ...]]) -> list[Entry]:
        entries = []
        for row in rows:
            try:
                entries.append(self._entry(row))
            except PermanentError as error:
                # Its root is still there, and so it is queued anew.
                self._quarantine.keep("entry", repr(row).encode(), error)
                connection.execute("DELETE FROM entries WHERE path = ?", (row[0],))
        return entries

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        base_name, state, queued_at, next_at, text = row
        try:
            progress = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            progress = None
        document = {
            "schema": SCHEMA,
            "storePath": f"{self._store_dir.path}/{base_name}",
            "queuedAt": queued_at,
            "state": state,
            **(progress if isinstance(progress, dict) else {}),
        }
        if state == Queued.state:
            document["nextAttemptAt"] = next_at
        return Entry.parse(document, self._store_dir)


def _age(entry: Entry) -> tuple[float, StorePath]:
    return entry.queued_at, entry.path


def _concluded(row: Sequence[Any]) -> Concluded:
    path, at, outcome, remark = row
    return Concluded(StorePath.from_base_name(path), at, outcome, remark)


def _by_base_name(paths: Iterable[StorePath]) -> Iterator[tuple[list[str], str]]:
    """Yield the base names, as many as a statement takes, and a mark for each."""
    names = [path.base_name for path in paths]
    for start in range(0, len(names), _VARIABLES):
        some = names[start : start + _VARIABLES]
        yield some, ", ".join("?" * len(some))
