"""The uploader's work, a step at a time: take in what hooks queued, upload what is due, follow each to its verdict."""

from __future__ import annotations

import random
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Final

from hook import wording
from hook.closure import Plan, plan
from hook.nix_store import DumpFailedError, vanished
from hook.queue.entry import Entry, Queued, Refused, Submitted
from hook.transfer.upload import upload
from nixcache.errors import AssayError, PermanentError, TransientError
from protocol.verdicts import (
    AwaitingQuorum,
    Conflict,
    Duplicate,
    Published,
    Rejected,
    ServiceCode,
    Waiting,
    is_final,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    from hook.lookup import NarInfoLookup
    from hook.nix_store import NixStore, PathInfo
    from hook.queue.queue import Queue
    from hook.report import Report
    from hook.transfer.staging import Staged, Staging
    from hook.verdicts import Ledger
    from nixcache.store_path import StorePath
    from protocol.keys import BuilderName
    from protocol.results import Result

UPLOADS_AT_ONCE: Final = 4
POLLS_AT_ONCE: Final = 8
FIRST_DELAY: Final = 2.0
MAX_DELAY: Final = 300.0
"""Seconds between tries after trouble: doubled each time from the first on, with jitter, never longer than this."""
MAX_UPLOADS: Final = 3
"""Of one path, when the service finds nothing in staging each time."""
SUPERSEDED_SECONDS: Final = 60
"""How long our own verdict may be out while the ledger shows a newer one on another version."""
_LOST: Final = frozenset((ServiceCode.NAR_MISSING.value, ServiceCode.NARINFO_MISSING.value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the uploader works with."""

    queue: Queue
    nix_store: NixStore
    lookup: NarInfoLookup
    staging: Staging
    ledger: Ledger


class Uploader:
    """Works on a queue that this process owns. ``report`` hears of each thing that people want to know."""

    def __init__(
        self,
        ports: Ports,
        *,
        builder: BuilderName,
        zstd_level: int,
        report: Report,
        stop: Event,
    ) -> None:
        self._ports = ports
        self._queue = ports.queue
        self._builder = builder
        self._zstd_level = zstd_level
        self._report = report
        self._stop = stop
        self._asked_at: dict[StorePath, float] = {}

    def take_in(self) -> None:
        """Make entries of what hooks have spooled."""
        self._queue.take_in(self._ports.nix_store.outputs)

    def upload_due(self, *, all_now: bool = False) -> TransientError | None:
        """Upload what is queued and due (or all that is queued), with the part of its closure that is missing.

        Returns the trouble that kept some of it in the queue, if there was any; raises OSError for the queue's disk.
        """
        now = time.time()
        due = [
            path
            for path, entry in self._queue.entries.items()
            if isinstance(entry.progress, Queued) and (all_now or _is_due(entry.progress, now))
        ]
        if not due:
            return None
        try:
            planned = plan(due, present=self._present, infos=self._ports.nix_store.infos)
            content_addresses = self._ports.nix_store.content_addresses(planned.missing)
        except AssayError as error:
            # Of the network or of Nix as a whole, not of one path: nothing is refused for it.
            trouble = TransientError(error.problem, remedy=error.remedy)
            self._postpone(due, trouble)
            return trouble
        for path in due:
            if path not in planned.missing and path not in planned.vanished:
                self._report.progress(f"already published {path.base_name}")
                self._queue.finish(path)
        failures, interruption = self._upload_in_order(planned, content_addresses)
        store_dir, asked_for = self._ports.nix_store.store_dir, frozenset(due)
        failures |= {path: vanished(store_dir.render(path)) for path in planned.vanished}
        for path, cause in planned.blocked_by(failures).items():
            if path in asked_for:
                self._refuse(path, str(failures[cause]), code=failures[cause].code, needs=cause)
        if interruption and not self._stop.is_set():
            self._postpone(due, interruption)
        return interruption

    def poll(self) -> TransientError | None:
        """Ask for the verdicts that may be in by now; returns the trouble, if asking failed."""
        now = time.monotonic()
        waiting = [
            (path, entry.progress)
            for path, entry in self._queue.entries.items()
            if isinstance(entry.progress, Submitted) and self._may_ask(path, entry.progress, now)
        ]
        trouble: TransientError | None = None
        with ThreadPoolExecutor(POLLS_AT_ONCE) as pool:
            asked = [(path, progress, pool.submit(self._ask, path)) for path, progress in waiting]
        for path, progress, future in asked:
            self._asked_at[path] = now
            try:
                result = future.result()
            except TransientError as error:
                trouble = error
            except PermanentError as error:
                trouble = TransientError(error.problem, remedy=error.remedy)
            else:
                if result:
                    self._follow(path, progress, result)
        return trouble

    def _present(self, paths: set[StorePath]) -> set[StorePath]:
        """Return what needs no upload: published, in staging already, or refused before."""
        known = {
            path
            for path in paths
            if path in self._queue.entries and not isinstance(self._queue.entries[path].progress, Queued)
        }
        return known | self._ports.lookup.present(paths - known)

    def _upload_in_order(
        self, planned: Plan, content_addresses: dict[StorePath, str]
    ) -> tuple[dict[StorePath, PermanentError], TransientError | None]:
        """Upload several paths at once, each after its references; return what failed for good, and what in passing."""
        failures: dict[StorePath, PermanentError] = {}
        interruption: TransientError | None = None
        going_on = True
        order = TopologicalSorter(planned.order())
        order.prepare()
        running: dict[Future[Staged], StorePath] = {}
        pool = ThreadPoolExecutor(UPLOADS_AT_ONCE)
        try:
            while True:
                # After trouble nothing new is begun: it would meet the same.
                for path in order.get_ready() if going_on else ():
                    future = pool.submit(self._upload, planned.missing[path], content_addresses.get(path))
                    running[future] = path
                if not running:
                    return failures, interruption
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    path = running.pop(future)
                    try:
                        self._submitted(path, future.result())
                        order.done(path)
                    except PermanentError as error:
                        failures[path] = error
                    except DumpFailedError as error:
                        interruption = error  # of this path alone: one bad sector must not hold up the others
                    except TransientError as error:
                        interruption, going_on = error, False
                        running = {other: which for other, which in running.items() if not other.cancel()}
        finally:
            pool.shutdown(cancel_futures=True)

    def _upload(self, info: PathInfo, ca: str | None) -> Staged:
        started = time.monotonic()
        staged = upload(
            info,
            ca,
            nix_store=self._ports.nix_store,
            staging=self._ports.staging,
            builder=self._builder,
            zstd_level=self._zstd_level,
            stop=self._stop,
        )
        seconds = time.monotonic() - started
        self._report.progress(
            f"submitted {info.store_path.base_name} ({info.nar_size} bytes of NAR in {seconds:.1f} s)"
        )
        return staged

    def _submitted(self, path: StorePath, staged: Staged) -> None:
        """Remember what was submitted. A dependency, which no hook has queued, gets its entry here."""
        now = time.time()
        known = self._queue.entries.get(path)
        if known is None:
            # What it is a dependency of may be refused, and its root with it, long before this one's verdict is in.
            self._queue.root(path)
        uploads = known.progress.uploads if known and isinstance(known.progress, Queued) else 0
        progress = Submitted(version_id=staged.version_id, staged_at=staged.at, since=now, uploads=uploads + 1)
        self._queue.save(Entry(path, known.queued_at if known else now, progress))

    def _refuse(self, path: StorePath, problem: str, *, code: str, needs: StorePath | None = None) -> None:
        if needs not in {None, path}:
            problem = f"it needs {needs.base_name}, which cannot be uploaded. {problem}"
        self._report.problem(f"rejected {path.base_name}: {problem}")
        self._queue.refuse(path, code=code, problem=problem)

    def _postpone(self, due: list[StorePath], trouble: TransientError) -> None:
        for path in due:
            entry = self._queue.entries.get(path)
            if entry is None or not isinstance(entry.progress, Queued):
                continue
            tries = entry.progress.tries + 1
            # Jitter: a fleet that lost its network together must not come back in step.
            delay = min(MAX_DELAY, FIRST_DELAY * 2 ** min(tries - 1, 16)) * random.uniform(0.5, 1)  # noqa: S311
            progress = replace(entry.progress, tries=tries, next_attempt_at=time.time() + delay, problem=str(trouble))
            self._queue.save(replace(entry, progress=progress))

    def _may_ask(self, path: StorePath, progress: Submitted, now: float) -> bool:
        """Ask often at first (verdicts take seconds), then ever more rarely: a tenth of the wait, 60 s at the most."""
        interval = min(60.0, (time.time() - progress.since) / 10)
        return now - self._asked_at.get(path, float("-inf")) >= interval

    def _ask(self, path: StorePath) -> Result | None:
        return self._ports.ledger.result(path.hash_part)

    def _follow(self, path: StorePath, progress: Submitted, result: Result) -> None:
        if result.version_id == progress.version_id:
            self._conclude(path, progress, result)
        elif (
            # Another machine with this builder's name submitted the same path, and its verdict overwrote ours.
            result.at > progress.staged_at
            and time.time() - progress.since > SUPERSEDED_SECONDS
            and is_final(result.verdict)
        ):
            self._start_anew(path, uploads=0)

    def _conclude(self, path: StorePath, progress: Submitted, result: Result) -> None:
        match result.verdict:
            case Published(warnings=warnings):
                self._report.progress(f"published {path.base_name}")
                for warning in warnings:
                    self._report.problem(f"warning {path.base_name} {wording.of_warning(warning)}")
                self._finish(path, result)
            case Duplicate(upstream=upstream):
                self._report.progress(f"duplicate {path.base_name}{f': {upstream} has it' if upstream else ''}")
                self._finish(path, result)
            case Waiting() | AwaitingQuorum() as verdict:
                self._await(path, progress, verdict)
            case Rejected(code=code) if code in _LOST and progress.uploads < MAX_UPLOADS:
                self._start_anew(path, uploads=progress.uploads)
            case Rejected() as rejected:
                self._refuse(path, wording.of_rejection(rejected), code=rejected.code)
            case Conflict() as conflict:
                self._refuse(path, wording.of_conflict(conflict), code=conflict.kind)

    def _await(self, path: StorePath, progress: Submitted, verdict: Waiting | AwaitingQuorum) -> None:
        if isinstance(verdict, Waiting):
            awaiting = replace(progress, waits_for=verdict.missing, quorum=None)
            line = f"waiting {path.base_name} for {', '.join(other.base_name for other in verdict.missing)}"
        else:
            awaiting = replace(progress, waits_for=(), quorum=verdict)
            line = f"awaiting a quorum {path.base_name}: {wording.of_quorum(verdict)}"
        if awaiting != progress:
            self._report.progress(line)
            self._queue.save(replace(self._queue.entries[path], progress=awaiting))

    def _finish(self, path: StorePath, result: Result) -> None:
        if dispute := wording.of_dispute(result):
            self._report.problem(f"warning {path.base_name}: {dispute}")
        self._queue.finish(path)

    def _start_anew(self, path: StorePath, *, uploads: int) -> None:
        self._queue.root(path)
        self._queue.save(replace(self._queue.entries[path], progress=Queued(uploads=uploads)))


def _is_due(progress: Queued, now: float) -> bool:
    """Whether its time has come, or lies so far ahead that this machine's clock must have been set back."""
    return not now < progress.next_attempt_at <= now + MAX_DELAY


def stuck(entries: Mapping[StorePath, Entry]) -> set[StorePath]:
    """Return the submitted paths that wait, through however many others, for one that was refused."""
    blocked = {path for path, entry in entries.items() if isinstance(entry.progress, Refused)}
    refused = frozenset(blocked)
    while True:
        more = {
            path
            for path, entry in entries.items()
            if isinstance(entry.progress, Submitted) and not blocked.isdisjoint(entry.progress.waits_for)
        }
        if more <= blocked:
            return blocked - refused
        blocked |= more
