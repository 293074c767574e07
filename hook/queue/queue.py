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

from hook import gc_roots, post_build
from hook.errors import BuilderCode
from hook.queue import spool
from hook.queue.entry import Entry, Queued, Refused
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
_HOOK_SECONDS: Final = 60
"""Age at which no running hook is between a root and its spool entry any more."""


class Queue:
    """The queue in ``state_dir``. Anybody may look; only the one process inside :meth:`owned` may change it.

    ``has_set_aside`` tells whether this object has moved anything into the quarantine.
    """

    def __init__(self, state_dir: Path, store_dir: StoreDir, *, report: Report) -> None:
        self.state_dir = state_dir
        self.store_dir = store_dir
        self.entries: dict[StorePath, Entry] = {}
        self.has_set_aside = False
        self._foreign: set[str] = set()
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
            post_build.make_directory(str(directory))
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
                    paths = _outputs(spooled.drv_path, outputs)
                except PermanentError as error:
                    # Nix may register the outputs only after the hook; an hour later it never will.
                    if time.time() - spooled_at > _STALE_SECONDS:
                        self._set_aside(file, error)
                    continue
            for path in paths:
                known = self.entries.get(path)
                if known is None or isinstance(known.progress, Refused):
                    self.root(path)
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
        """Keep ``path`` as refused, with the reason, and let go of its root; raises OSError.

        The root stays where somebody has queued the path again meanwhile.
        """
        known = self.entries.get(path)
        now = time.time()
        self.save(Entry(path, known.queued_at if known else now, Refused(code=code, problem=problem, since=now)))
        if path not in self._read_spool()[0]:
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

    def root(self, path: StorePath) -> None:
        """Root what the hook could not root, or not tell, or never saw; a root that cannot be made is reported."""
        if gc_roots.is_rooted(self.state_dir, path.base_name):
            return
        try:
            gc_roots.add_gc_root(str(self.state_dir), self.store_dir.render(path))
        except OSError as error:
            self._report.problem(f"{path.base_name} has no garbage-collection root: {error.strerror}.")

    def adopt_orphans(self, *, young: bool = False) -> None:
        """Queue what is rooted but has no entry: its hook was killed, or met a full disk, between the two.

        A ``young`` root may belong to a hook that is about to queue it; to adopt that too is one needless line. A root
        that was left over by a refusal is let go, but neither a young one nor that of a path that is spooled again.
        Raises OSError.
        """
        rooted = gc_roots.rooted(self.state_dir)
        spooled, _ = self._read_spool()
        for base_name, full_path in rooted.items():
            try:
                path = self.store_dir.parse(full_path)
            except PermanentError as error:
                if base_name not in self._foreign:
                    self._report.problem(f"A garbage-collection root is left alone: {error.problem}")
                self._foreign.add(base_name)
                continue
            entry = self.entries.get(path)
            if path in spooled or not (entry is None or isinstance(entry.progress, Refused)):
                continue
            # A root from the future is old: this machine's clock was set back.
            is_old = not 0 <= time.time() - gc_roots.made_at(self.state_dir, base_name) < _HOOK_SECONDS
            if entry is None and (young or is_old):
                self.save(Entry(path, time.time(), Queued()))
                self._report.problem(f"{base_name} is rooted but was not queued; it is now.")
            elif entry is not None and is_old:
                gc_roots.release(self.state_dir, base_name)

    def _set_aside(self, file: Path, error: PermanentError) -> None:
        post_build.make_directory(str(self._quarantine))
        aside = self._quarantine / f"{file.name}.{time.time_ns()}"
        file.rename(aside)
        self.has_set_aside = True
        self._report.problem(f"{error} It is {aside}.")

    def _clear_stale_files(self) -> None:
        for file in _files(self._tmp):
            if time.time() - file.stat().st_mtime > _STALE_SECONDS:
                file.unlink(missing_ok=True)


def _outputs(drv_path: StorePath, outputs: Callable[[StorePath], list[StorePath]]) -> tuple[StorePath, ...]:
    """Return what ``outputs`` tells; none at all is no answer either, for something was built."""
    paths = tuple(outputs(drv_path))
    if not paths:
        raise PermanentError(
            BuilderCode.NIX_FAILED,
            f"Nix names no output of {drv_path.base_name}.",
            remedy="Push what it built with `assay push`, then delete the entry.",
        )
    return paths


def _files(directory: Path) -> list[Path]:
    """Return the files in order of their names, which for the spool is that of time."""
    return sorted(directory.iterdir()) if directory.is_dir() else []
