"""The durable queue: a spool that hooks write, and behind it a database that one process alone opens.

What a method has changed is durable when it returns, and what it replaces is let go only then, so a kill or a power
loss at any moment loses nothing: at worst, something is done twice. What cannot be read is set aside, never dropped.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from threading import Event, RLock
from typing import TYPE_CHECKING, Final

from hook import gc_roots, post_build
from hook.errors import Cause, Trouble
from hook.queue.control import Control
from hook.queue.database import FILE_NAME, Database
from hook.queue.entry import Entry, Queued, Refused
from hook.queue.intake import Intake
from hook.queue.multiparts import RecordedMultiparts
from hook.queue.overview import Concluded, Known, Overview
from hook.queue.quarantine import Quarantine
from hook.queue.spool import Spool
from hook.queue.table import Table
from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from hook.report import Report
    from nixcache.store_path import StoreDir, StorePath

QUARANTINE: Final = "quarantine"
LOCK: Final = "uploader.lock"
"""Held by the owner, for as long as it owns the queue."""
DATABASE_LOCK: Final = "queue.lock"
"""Held by whoever has the database open: the owner, or for a moment somebody who looks."""
_STALE_SECONDS: Final = 3600
"""Age at which a temporary file belongs to a hook that was killed."""
_HOOK_SECONDS: Final = 60
"""Age at which no running hook is between a root and its spool entry any more."""
_LOOK_SECONDS: Final = 15.0
"""How long the owner waits for those who look."""
_READ_AT_MOST: Final = 1000
"""Spool entries, to find out whether a path is among them. Where there are more, they are to be taken in first."""
_LOOKED_THROUGH: Final = 10_000
"""Spool entries, the newest ones, for whoever asks about paths: half a second, and all that is not taken in shortly."""
_NAMED_AT_MOST: Final = 3
_BATCH: Final = 1000


class Queue:
    """The queue in ``state_dir``; only the process inside :meth:`owned` may use it, other methods raise RuntimeError.

    Others ask through :class:`hook.queue.view.QueueView`. ``nudged`` is set when somebody wants the owner to look at
    the spool now, and to try what it had postponed, which then is due. All methods but :meth:`take_in` and
    :meth:`adopt_orphans` may be called from any thread. Every method raises :class:`hook.errors.Trouble` for a full
    disk or a damaged database (which is set aside, and filled anew from the roots), and OSError.
    """

    def __init__(self, state_dir: Path, store_dir: StoreDir, *, report: Report) -> None:
        self.state_dir = state_dir
        self.store_dir = store_dir
        self.nudged = Event()
        self._report = report
        self._foreign: set[str] = set()
        self._spool = Spool(state_dir, store_dir)
        self._quarantine = Quarantine(state_dir / QUARANTINE, report)
        self._intake = Intake(self._spool, self._quarantine, report)
        self._database: Database | None = None
        self._owner: int | None = None
        # Between what is read of an entry and what is made of it, of its root and of its spool entry, no other thread
        # may do the same: a path that one thread forgets and another takes in would be lost.
        self._moving = RLock()

    @property
    def has_set_aside(self) -> bool:
        """Whether this object has moved anything into the quarantine."""
        return self._quarantine.used

    @property
    def multiparts(self) -> RecordedMultiparts:
        """The memory of multipart uploads that are under way; to be had before the queue is owned."""
        return RecordedMultiparts(self._opened_database)

    @contextmanager
    def owned(self) -> Iterator[bool]:
        """Become the queue's one owner, and answer who asks about it; gives False where another process is it."""
        for directory in (post_build.SPOOL_NEW, post_build.SPOOL_TMP):
            post_build.make_directory(str(self.state_dir / directory))
        with _locked(self.state_dir / LOCK) as mine:
            if not mine:
                yield False
                return
            with self._opened(patience=_LOOK_SECONDS):
                self._spool.clear_up(time.time() - _STALE_SECONDS)
                self._owner = os.getpid()
                try:
                    with Control(self, report=self._report):
                        yield True
                finally:
                    self._owner = None

    @contextmanager
    def looked_at(self) -> Iterator[bool]:
        """Open the queue for a moment; gives False where another process has it open. Makes no directory."""
        if not _is_there(self.state_dir / FILE_NAME):
            # Nobody has ever owned it, so there is nothing in it yet, and nothing to be locked.
            with self._using(Database(None, self._quarantine)):
                yield True
            return
        with _locked(self.state_dir / DATABASE_LOCK) as mine:
            if not mine:
                yield False
                return
            with self._using(Database(self.state_dir / FILE_NAME, self._quarantine)):
                yield True

    def quarantined(self) -> list[Path]:
        """Return the files that were set aside."""
        return self._quarantine.files()

    def has_spooled(self) -> bool:
        """Whether a hook has written something that was not taken in."""
        return not self._spool.is_empty()

    def take_in(self, outputs: Callable[[StorePath], list[StorePath]], *, limit: int = 1000) -> int:
        """Turn ``limit`` runs of the hook at the most into entries, the oldest first; returns how many were.

        ``outputs`` tells the outputs of a derivation. A path that is on its way already stays as it is; a refused one
        starts anew, for somebody built or pushed it again. What cannot be read, or what Nix cannot tell now, holds up
        nothing else: it is looked at again later.
        """
        spooled = self._intake.gather(outputs, limit)
        paths: dict[StorePath, float] = {}
        for run in spooled:
            for path in run.paths:
                paths.setdefault(path, run.at)
        with self._moving:
            known = self.get_many(paths)
            fresh = [path for path in paths if path not in known or isinstance(known[path].progress, Refused)]
            for path in fresh:
                self.root(path)
            self.save(*(Entry(path, paths[path], Queued()) for path in fresh))
            self._intake.done(spooled)
        return len(spooled)

    def get(self, path: StorePath) -> Entry | None:
        """Return the entry of ``path``."""
        return self.get_many([path]).get(path)

    def get_many(self, paths: Iterable[StorePath]) -> dict[StorePath, Entry]:
        """Return the entries of those of ``paths`` that have one."""
        return self._table.get_many(paths)

    def save(self, *entries: Entry) -> None:
        """Write all of ``entries``, or none."""
        if entries:
            self._table.save(entries)

    def due(self, now: float, limit: int) -> list[Entry]:
        """Return ``limit`` of the queued at the most whose time has come by ``now``, the oldest first.

        So has that of what seems to be postponed for longer than anything is: the clock was set back.
        """
        return self._table.due(now, limit)

    def next_due(self) -> float | None:
        """Return when the first of what is queued is to be tried (0: at once), None where nothing is queued."""
        return self._table.next_due()

    def submitted(self, limit: int, after: StorePath | None = None) -> list[Entry]:
        """Return ``limit`` of the submitted at the most, in the order of their paths, behind ``after``."""
        return self._table.submitted(limit, after)

    def refused(self, limit: int, after: StorePath | None = None) -> list[StorePath]:
        """Return ``limit`` of the refused at the most, in the order of their paths, behind ``after``."""
        return self._table.refused(limit, after)

    def counts(self) -> dict[str, int]:
        """Return how many entries there are in each state, zeros included."""
        return self._table.counts()

    def blocked(self) -> set[StorePath]:
        """Return the submitted that wait, through however many others, for one that was refused."""
        return self._table.blocked()

    def refuse(self, path: StorePath, *, code: str, problem: str) -> None:
        """Keep ``path`` as refused, with the reason, and let go of its root.

        The root stays where somebody has, or may have, queued the path again meanwhile.
        """
        with self._moving:
            known = self.get(path)
            now = time.time()
            self.save(Entry(path, known.queued_at if known else now, Refused(code=code, problem=problem, since=now)))
            self._release(path)

    def conclude(self, path: StorePath, concluded: Concluded) -> None:
        """Let go of the root, and then of the entry, and remember how the path left.

        Killed in between, the next owner asks for the verdict again. The root stays as :meth:`refuse` says.
        """
        with self._moving:
            self._release(path)
            self._table.conclude(concluded)

    def forget(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """Drop those of ``paths`` that were refused, with the roots that they may still have, and return them."""
        with self._moving:
            known = self.get_many(paths)
            refused = {path for path, entry in known.items() if isinstance(entry.progress, Refused)}
            for path in refused:
                self._release(path)
            self._table.drop_refused(refused)
        return refused

    def nudge(self) -> None:
        """Make everything due that is queued, and wake the owner."""
        self._table.try_all_now()
        self.nudged.set()

    def remember_present(self, paths: Iterable[StorePath], until: float) -> None:
        """Remember until ``until`` (seconds since the epoch) that ``paths`` need no upload."""
        self._table.remember_present(paths, until)

    def recall_present(self, paths: Iterable[StorePath], now: float) -> set[StorePath]:
        """Return those of ``paths`` that are remembered to need no upload."""
        return self._table.recall_present(paths, now)

    def forget_present(self, paths: Iterable[StorePath]) -> None:
        """Remember no more that ``paths`` need no upload."""
        self._table.forget_present(paths)

    def overview(self, *, limit: int, rejected: bool = True) -> Overview:
        """Return counts, and ``limit`` entries (with the ``rejected`` or without) and conclusions at the most."""
        # The spool first: what is taken in while we look is then seen twice, and never not at all.
        spooled = self._spooled_entries(self._spool.oldest(min(limit, _READ_AT_MOST)))
        entries = spooled | {entry.path: entry for entry in self._table.oldest(limit, rejected=rejected)}
        # A path may be spooled again while its entry is too young to be among the oldest.
        entries |= self.get_many(spooled)
        if not rejected:
            entries = {path: entry for path, entry in entries.items() if not isinstance(entry.progress, Refused)}
        return Overview(
            counts=self.counts(),
            spooled=sum(1 for _ in self._spool.names()),
            entries=tuple(sorted(entries.values(), key=lambda entry: (entry.queued_at, entry.path))[:limit]),
            concluded=tuple(self._table.newest_concluded(limit)),
            set_aside=tuple(self.quarantined()),
            owner=self._owner,
        )

    def known(self, paths: Iterable[StorePath]) -> dict[StorePath, Known]:
        """Return what is known of each of ``paths``, spooled ones included.

        Of a spool that holds more than 10,000 entries, the oldest are not looked at: they are about to be taken in.
        """
        wanted = set(paths)
        on_its_way = {path for path, entry in self.get_many(wanted).items() if not isinstance(entry.progress, Refused)}
        # The spool before the entries: what is taken in while we look is then seen twice, and never not at all.
        spooled = self._spooled_of(wanted - on_its_way)
        entries = self.get_many(wanted)
        # A refused path that is spooled again starts anew.
        anew = {path for path in spooled if path not in entries or isinstance(entries[path].progress, Refused)}
        entries |= {path: spooled[path] for path in anew}
        concluded = self._table.concluded(wanted - entries.keys())
        return {path: Known(entries.get(path), concluded.get(path)) for path in wanted}

    def root(self, path: StorePath) -> None:
        """Root what the hook could not root, or not tell, or never saw; a root that cannot be made is reported."""
        if gc_roots.is_rooted(self.state_dir, path.base_name):
            return
        try:
            gc_roots.add_gc_root(str(self.state_dir), self.store_dir.render(path))
        except OSError as error:
            self._report.problem(f"{path.base_name} has no garbage-collection root: {error.strerror}.")

    def adopt_orphans(self, *, young: bool = False) -> bool:
        """Queue what is rooted but has no entry: its hook was killed, or met a full disk, or the database was lost.

        A ``young`` root may belong to a hook that is about to queue it; to adopt that too is one needless line. A root
        that was left over by a refusal is let go, but neither a young one nor that of a path that is spooled again.
        Nothing is done while there is much to be taken in; return whether it was done.
        """
        names = self._spool.oldest(_READ_AT_MOST + 1)
        if len(names) > _READ_AT_MOST:
            return False
        spooled = {path for run, _ in self._spool.readable(names) for path in run.paths}
        adopted: list[StorePath] = []
        batch: list[StorePath] = []
        for base_name, full_path in gc_roots.each(self.state_dir):
            try:
                path = self.store_dir.parse(full_path)
            except PermanentError as error:
                self._tell_foreign(base_name, error)
                continue
            if path not in spooled:
                batch.append(path)
            if len(batch) == _BATCH:
                self._adopt(batch, adopted, young=young)
                batch = []
        self._adopt(batch, adopted, young=young)
        self._tell_adopted(adopted)
        return True

    def _adopt(self, paths: list[StorePath], adopted: list[StorePath], *, young: bool) -> None:
        with self._moving:
            orphans = self._orphans(paths, young=young)
            self.save(*orphans)
        adopted += [entry.path for entry in orphans]

    def _orphans(self, paths: list[StorePath], *, young: bool) -> list[Entry]:
        """Return what of ``paths``, which are rooted, is to be queued; let go of what a refusal left over."""
        known = self.get_many(paths)
        now = time.time()
        orphans: list[Entry] = []
        for path in paths:
            entry = known.get(path)
            if entry is not None and not isinstance(entry.progress, Refused):
                continue
            made_at = gc_roots.made_at(self.state_dir, path.base_name)
            # A root from the future is old: this machine's clock was set back.
            is_old = made_at is not None and not 0 <= now - made_at < _HOOK_SECONDS
            if entry is None and made_at is not None and (young or is_old):
                orphans.append(Entry(path, now, Queued()))
            elif entry is not None and is_old:
                self._release(path)
        return orphans

    def _tell_adopted(self, adopted: list[StorePath]) -> None:
        if len(adopted) <= _NAMED_AT_MOST:
            for path in adopted:
                self._report.problem(f"{path.base_name} is rooted but was not queued; it is now.")
        else:
            self._report.problem(f"{len(adopted)} paths are rooted but were not queued; they are now.")

    def _tell_foreign(self, base_name: str, error: PermanentError) -> None:
        if base_name not in self._foreign:
            self._report.problem(f"A garbage-collection root is left alone: {error.problem}")
        self._foreign.add(base_name)

    def _release(self, path: StorePath) -> None:
        """Let go of the root, unless the path is, or may be, spooled."""
        if self._may_be_spooled(path):
            return
        gc_roots.release(self.state_dir, path.base_name)
        # A hook that met this root took it for its own. Either we see here what it spooled since then, or it looks for
        # its root after that, and misses it.
        if self._may_be_spooled(path):
            self.root(path)

    def _spooled_of(self, wanted: set[StorePath]) -> dict[StorePath, Entry]:
        found: dict[StorePath, Entry] = {}
        if wanted:
            for run, at in self._spool.readable(self._spool.newest(_LOOKED_THROUGH)):
                found |= {path: Entry(path, at, Queued()) for path in run.paths if path in wanted}
                if len(found) == len(wanted):
                    break
        return found

    def _may_be_spooled(self, path: StorePath) -> bool:
        names = self._spool.oldest(_READ_AT_MOST + 1)
        return len(names) > _READ_AT_MOST or path in self._spooled_entries(names)

    def _spooled_entries(self, names: list[str]) -> dict[StorePath, Entry]:
        entries: dict[StorePath, Entry] = {}
        for run, at in self._spool.readable(names):
            for path in run.paths:
                entries.setdefault(path, Entry(path, at, Queued()))
        return entries

    def _opened_database(self) -> Database:
        if self._database is None:
            raise RuntimeError("Only the owner of a queue may use it.")
        return self._database

    @property
    def _table(self) -> Table:
        return Table(self._opened_database(), self.store_dir, self._quarantine)

    @contextmanager
    def _opened(self, *, patience: float) -> Iterator[None]:
        """Open the database for as long as the block lasts, once those who look at it are done."""
        deadline = time.monotonic() + patience
        while True:
            with _locked(self.state_dir / DATABASE_LOCK) as mine:
                if mine:
                    with self._using(Database(self.state_dir / FILE_NAME, self._quarantine)):
                        yield
                    return
            if time.monotonic() > deadline:
                raise looked_at_for_too_long(self.state_dir)
            time.sleep(0.02)

    @contextmanager
    def _using(self, database: Database) -> Iterator[None]:
        self._database = database
        try:
            yield
        finally:
            self._database = None
            database.close()


def looked_at_for_too_long(state_dir: Path) -> Trouble:
    """Somebody has the database open, and does not let it go."""
    return Trouble(
        Cause.MACHINE,
        f"Another process keeps {state_dir / DATABASE_LOCK}.",
        remedy="See with `fuser` which one it is, and end it if it hangs.",
    )


def _is_there(file: Path) -> bool:
    """Tell; unlike ``exists``, which takes what we may not see for absent, raise PermissionError."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


@contextmanager
def _locked(file: Path) -> Iterator[bool]:
    # For its owner alone: whoever can open a file can lock it, and so keep everybody else out.
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
