"""The durable queue: a spool that hooks write, and one file for each store path that the uploader alone writes.

Everything is a whole file, renamed into place and synced before what it replaces is let go, so a kill or a power loss
at any moment loses nothing: at worst, something is done twice. What cannot be read is moved aside, never dropped.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hook import gc_roots, post_build, spool
from hook.entry import Entry, Queued, Refused
from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hook.report import Report
    from nixcache.store_path import StoreDir, StorePath

ENTRIES: Final = "queue"
QUARANTINE: Final = "quarantine"
_LOCK: Final = "uploader.lock"
_STALE_SECONDS: Final = 3600
"""Age at which a temporary file belongs to a hook that was killed, and an untellable derivation to a past build."""


class Queue:
    """The queue in ``state_dir``. Anybody may look; only the one process inside :meth:`owned` may change it."""

    def __init__(self, state_dir: Path, store_dir: StoreDir, *, report: Report) -> None:
        self.state_dir = state_dir
        self.store_dir = store_dir
        self.entries: dict[StorePath, Entry] = {}
        self._report = report
        self._new = state_dir / post_build.SPOOL_NEW
        self._tmp = state_dir / post_build.SPOOL_TMP
        self._entries_dir = state_dir / ENTRIES
        self._quarantine = state_dir / QUARANTINE

    @contextmanager
    def owned(self) -> Iterator[bool]:
        """Become the queue's one uploader, with all entries loaded; gives False where another process is it.

        Raises OSError.
        """
        for directory in (self._new, self._tmp, self._entries_dir):
            directory.mkdir(parents=True, exist_ok=True)
        with (self.state_dir / _LOCK).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            self._clear_stale_files()
            self.entries, unreadable = self._read_entries()
            for file, error in unreadable:
                self._set_aside(file, error)
            self._adopt_orphans()
            yield True

    def read(self) -> tuple[dict[StorePath, Entry], list[tuple[Path, PermanentError]]]:
        """Return all entries, spooled ones included, and the files that cannot be read; changes nothing."""
        spooled, unreadable = self._read_spool()
        entries, unreadable_entries = self._read_entries()
        return {**spooled, **entries}, unreadable + unreadable_entries

    def quarantined(self) -> list[Path]:
        """Return the files that were set aside."""
        return _files(self._quarantine)

    def has_spooled(self) -> bool:
        """Whether a hook has written something that no uploader has taken in."""
        return bool(_files(self._new))

    def take_in(self, outputs: Callable[[StorePath], list[StorePath]]) -> None:
        """Turn what hooks have spooled into entries; ``outputs`` tells the outputs of a derivation.

        A path that is on its way already stays as it is; a refused one starts anew, for somebody built or pushed it
        again. Raises OSError and what ``outputs`` raises, except a :class:`PermanentError`.
        """
        for file in _files(self._new):
            spooled_at = file.stat().st_mtime
            try:
                spooled = spool.parse(file.read_bytes(), self.store_dir)
            except PermanentError as error:
                self._set_aside(file, error)
                continue
            paths = spooled.paths
            if spooled.drv_path and not paths:
                try:
                    paths = tuple(outputs(spooled.drv_path))
                except PermanentError as error:
                    # Nix may register the outputs only after the hook; an hour later it never will.
                    if time.time() - spooled_at > _STALE_SECONDS:
                        self._set_aside(file, error)
                    continue
            for path in paths:
                known = self.entries.get(path)
                if known is None or isinstance(known.progress, Refused):
                    self._root(path)
                    self.save(Entry(path, spooled_at, Queued()))
            file.unlink()

    def save(self, entry: Entry) -> None:
        """Write ``entry`` durably; raises OSError."""
        name = entry.path.base_name
        tmp = self._tmp / name
        with tmp.open("wb") as file:
            file.write(json.dumps(entry.document(self.store_dir), indent=1).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        tmp.rename(self._entries_dir / name)
        post_build.sync_directory(str(self._entries_dir))
        self.entries[entry.path] = entry

    def refuse(self, path: StorePath, *, code: str, problem: str) -> None:
        """Keep ``path`` as refused, with the reason, and let go of its root; raises OSError."""
        known = self.entries.get(path)
        now = time.time()
        self.save(Entry(path, known.queued_at if known else now, Refused(code=code, problem=problem, since=now)))
        gc_roots.release(self.state_dir, path.base_name)

    def finish(self, path: StorePath) -> None:
        """Let go of the root, and then of the entry: killed in between, the next uploader asks for the verdict again.

        Raises OSError.
        """
        gc_roots.release(self.state_dir, path.base_name)
        (self._entries_dir / path.base_name).unlink(missing_ok=True)
        self.entries.pop(path, None)

    def _read_entries(self) -> tuple[dict[StorePath, Entry], list[tuple[Path, PermanentError]]]:
        entries: dict[StorePath, Entry] = {}
        unreadable: list[tuple[Path, PermanentError]] = []
        for file in _files(self._entries_dir):
            try:
                entry = Entry.parse(file.read_bytes(), self.store_dir)
            except FileNotFoundError:
                continue  # the uploader was done with it while we looked
            except PermanentError as error:
                unreadable.append((file, error))
            else:
                entries[entry.path] = entry
        return entries, unreadable

    def _read_spool(self) -> tuple[dict[StorePath, Entry], list[tuple[Path, PermanentError]]]:
        entries: dict[StorePath, Entry] = {}
        unreadable: list[tuple[Path, PermanentError]] = []
        for file in _files(self._new):
            try:
                spooled_at = file.stat().st_mtime
                paths = spool.parse(file.read_bytes(), self.store_dir).paths
            except FileNotFoundError:
                continue  # taken in while we looked
            except PermanentError as error:
                unreadable.append((file, error))
            else:
                entries |= {path: Entry(path, spooled_at, Queued()) for path in paths}
        return entries, unreadable

    def _root(self, path: StorePath) -> None:
        """Root what the hook could not root, or not tell."""
        if gc_roots.is_rooted(self.state_dir, path.base_name):
            return
        try:
            gc_roots.add_gc_root(str(self.state_dir), self.store_dir.render(path))
        except OSError as error:
            self._report.problem(f"{path.base_name} has no garbage-collection root: {error.strerror}.")

    def _adopt_orphans(self) -> None:
        """Queue what is rooted but has no entry: its hook was killed, or met a full disk, between the two."""
        spooled, _ = self._read_spool()
        for base_name, full_path in gc_roots.rooted(self.state_dir).items():
            try:
                path = self.store_dir.parse(full_path)
            except PermanentError as error:
                self._report.problem(f"A garbage-collection root is left alone: {error.problem}")
                continue
            entry = self.entries.get(path)
            if entry is None and path not in spooled:
                self._report.problem(f"{base_name} is rooted but was not queued; it is now.")
                self.save(Entry(path, time.time(), Queued()))
            elif entry is not None and isinstance(entry.progress, Refused):
                gc_roots.release(self.state_dir, base_name)

    def _set_aside(self, file: Path, error: PermanentError) -> None:
        self._quarantine.mkdir(exist_ok=True)
        aside = self._quarantine / f"{file.name}.{time.time_ns()}"
        file.rename(aside)
        self._report.problem(f"{error} It is {aside}.")

    def _clear_stale_files(self) -> None:
        for file in _files(self._tmp):
            if time.time() - file.stat().st_mtime > _STALE_SECONDS:
                file.unlink(missing_ok=True)


def _files(directory: Path) -> list[Path]:
    """Return the files in order of their names, which for the spool is that of time."""
    return sorted(directory.iterdir()) if directory.is_dir() else []
