"""The queue's database: one file, one connection, one lock, and one place where SQLite's errors become ours."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from threading import RLock
from typing import TYPE_CHECKING, Final

from hook.errors import BuilderCode, Cause, Trouble, of_disk
from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hook.queue.quarantine import Quarantine

FILE_NAME: Final = "queue.sqlite"
VERSION: Final = 1
"""Of the schema, kept as SQLite's ``user_version``."""
COMPANIONS: Final = ("-wal", "-shm")

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE entries (
    path TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    queued_at REAL NOT NULL,
    next_at REAL NOT NULL,
    progress TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX entries_due ON entries (state, next_at, queued_at);
CREATE INDEX entries_by_age ON entries (queued_at);
CREATE INDEX entries_submitted ON entries (path) WHERE state = 'submitted';
CREATE TABLE waits (missing TEXT NOT NULL, path TEXT NOT NULL, PRIMARY KEY (missing, path)) WITHOUT ROWID;
CREATE INDEX waits_by_path ON waits (path);
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL,
    at REAL NOT NULL,
    outcome TEXT NOT NULL,
    remark TEXT NOT NULL
);
CREATE INDEX journal_by_path ON journal (path);
CREATE TABLE present (path TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX present_until ON present (until);
CREATE TABLE multiparts (key TEXT PRIMARY KEY, upload_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE parts (
    key TEXT NOT NULL,
    number INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    PRIMARY KEY (key, number)
) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
COMMIT;
"""
_DAMAGED: Final = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))


class _UnusableError(Exception):
    """The file holds no database that this version can go on with."""


class Database:
    """An open database. Safe to use from several threads: :meth:`transaction` lets in one at a time.

    A file that is damaged, or of another version, is set aside, and an empty one takes its place: the queue's second
    copy are the garbage-collection roots. ``file`` is None for one that lives in memory, where there is no file yet.
    The caller must hold the queue's lock, and raises :class:`Trouble` like :meth:`transaction`.
    """

    def __init__(self, file: Path | None, quarantine: Quarantine) -> None:
        self._file = file
        self._quarantine = quarantine
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._damage: BaseException | None = None
        """What the file is to be set aside for before it is opened again."""
        self._is_closed = False
        with _translated():
            self._connected()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do several things at once: all durable when the block ends, or none when it raises. Blocks nest.

        Raises :class:`Trouble` for a full disk and whatever else SQLite meets there.
        """
        with self._lock, _translated():
            connection = self._connected()
            if connection.in_transaction:
                yield connection
                return
            try:
                connection.execute("BEGIN")
                yield connection
                connection.execute("COMMIT")
            except BaseException as error:
                # SQLite has often rolled back by itself by now.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                if _is_damage(error):
                    connection.close()
                    self._connection, self._damage = None, error
                    # Where the disk does not let us now, the next transaction tries again.
                    with suppress(Trouble, sqlite3.Error):
                        self._connected()
                raise

    def close(self) -> None:
        """Close it, whatever state the disk is in."""
        with self._lock, suppress(sqlite3.Error):
            self._is_closed = True
            if self._connection is not None:
                self._connection.close()

    def _connected(self) -> sqlite3.Connection:
        """Return the connection, made anew where the last was given up; raises Trouble and sqlite3.Error."""
        if self._connection is None:
            if self._is_closed:
                # Its lock may be another process's by now.
                raise sqlite3.ProgrammingError("the queue's database was closed")
            try:
                self._connection = self._open_or_set_aside()
            except OSError as error:
                raise of_disk(error) from error
        return self._connection

    def _open_or_set_aside(self) -> sqlite3.Connection:
        if self._damage is None:
            try:
                return _open(self._file)
            except (_UnusableError, sqlite3.DatabaseError) as error:
                if not _is_damage(error):
                    raise
                self._damage = error
        self._set_aside(self._damage)
        self._damage = None
        return _open(self._file)

    def _set_aside(self, error: BaseException) -> None:
        # It may have gone before the disk failed.
        if self._file is None or not self._file.exists():
            return
        problem = PermanentError(
            BuilderCode.QUEUE_ENTRY_MALFORMED,
            f"The queue's database was set aside: {error}.",
            remedy="What is rooted is queued anew by itself; push again what had been rejected, then delete it.",
        )
        # The database first: an empty one ignores what the old one had left beside it, but never the other way round.
        self._quarantine.move(self._file, problem, companions=COMPANIONS)


def _open(file: Path | None) -> sqlite3.Connection:
    if file is not None:
        # SQLite itself would let everybody read it, and gives what it keeps beside it the same mode.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(file or ":memory:", timeout=5, isolation_level=None, check_same_thread=False)
    try:
        # Exclusive: nothing else is to open it, and no memory is to be shared, which some file systems cannot.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if version != VERSION and (version or tables):
            raise _UnusableError(f"its schema has version {version}, this program's has {VERSION}")  # noqa: TRY301 - close
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if not version:
            connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _is_damage(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
    return isinstance(error, _UnusableError)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        raise Trouble(
            Cause.MACHINE,
            f"The queue's database cannot be read or written: {error}.",
            remedy="Check the free space and the permissions there; nothing of what was queued is lost.",
        ) from error
