"""Following submissions to their verdicts, a page of them at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hook import wording
from hook.backoff import delay
from hook.errors import Cause, Trouble
from hook.queue.entry import Entry, Queued, Submitted
from hook.queue.view import Concluded
from nixcache.errors import PermanentError, TransientError
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
    from collections.abc import Callable
    from threading import Event

    from hook.nix_store import NixStore
    from hook.queue.queue import Queue
    from hook.report import Report
    from hook.verdicts import Ledger
    from nixcache.store_path import StorePath
    from protocol.results import Result

POLLS_AT_ONCE: Final = 8
PAGE: Final = 500
"""Submissions looked at in one turn; the next turn goes on behind them."""
FIRST_ASKED: Final = 0.5
MOST_BETWEEN: Final = 60.0
"""Seconds: about one path nobody asks earlier than the first, nor, however long it waits, more rarely than the last."""
LONGEST_REST: Final = 30.0
"""Seconds that nobody is asked after trouble, at the most."""
MAX_UPLOADS: Final = 3
"""Of one path, when the service finds nothing in staging each time."""
SUPERSEDED_SECONDS: Final = 60
"""How long our own verdict may be out while the ledger shows a newer one on another version."""
LOST_SECONDS: Final = 3600.0
"""How long a first submission may go without any verdict; twice as long for each one after it."""
_MOST_DOUBLINGS: Final = 5
_LOST: Final = frozenset((ServiceCode.NAR_MISSING.value, ServiceCode.NARINFO_MISSING.value))


class VerdictWatch:
    """Asks the ledger about what is submitted, and does to the queue what each verdict says."""

    def __init__(
        self,
        queue: Queue,
        ledger: Ledger,
        nix_store: NixStore,
        *,
        report: Report,
        stop: Event,
        now: Callable[[], float],
    ) -> None:
        """``now`` is the time in seconds since the epoch."""
        self._queue = queue
        self._ledger = ledger
        self._nix_store = nix_store
        self._report = report
        self._stop = stop
        self._now = now
        self._asked_at: dict[StorePath, float] = {}
        self._turn_ends_at: StorePath | None = None
        self._trouble: TransientError | None = None
        self._troubles = 0
        self._rests_until = float("-inf")
        self.refused = 0
        """How many paths were given up for their verdicts."""

    def poll(self) -> TransientError | None:
        """Ask for the verdicts that may be in by now; raises OSError and :class:`Trouble` for the queue's disk.

        Returns the trouble, if asking failed: the last time that anything was asked.
        """
        now = self._now()
        if now < self._rests_until <= now + LONGEST_REST:
            return self._trouble
        page = self._queue.submitted(PAGE, self._turn_ends_at)
        self._turn_ends_at = page[-1].path if len(page) == PAGE else None
        due = [
            (entry, progress)
            for entry in page
            if isinstance(progress := entry.progress, Submitted) and self._may_ask(entry.path, progress, now)
        ]
        if due:
            self._trouble = self._ask(due, now)
            self._troubles = self._troubles + 1 if self._trouble else 0
            if self._trouble:
                cause = self._trouble.cause if isinstance(self._trouble, Trouble) else Cause.NETWORK
                self._rests_until = now + min(LONGEST_REST, delay(cause, self._troubles))
        return self._trouble

    def _ask(self, due: list[tuple[Entry, Submitted]], now: float) -> TransientError | None:
        """Ask about ``due`` and do what the verdicts say; after trouble nobody else is asked: it would be met again."""
        trouble: TransientError | None = None
        pool = ThreadPoolExecutor(POLLS_AT_ONCE, thread_name_prefix="poll")
        try:
            asked = {
                pool.submit(self._ledger.result, entry.path.hash_part): (entry, progress) for entry, progress in due
            }
            for future in as_completed(asked):
                if self._stop.is_set():
                    return trouble
                entry, progress = asked[future]
                self._asked_at[entry.path] = now
                try:
                    self._take(entry, progress, future.result())
                except TransientError as error:
                    return error
                except PermanentError as error:
                    # Of this path alone: a result that cannot be read, or Nix, which cannot tell.
                    trouble = Trouble(Cause.SERVICE, error.problem, remedy=error.remedy)
            return trouble
        finally:
            pool.shutdown(wait=not self._stop.is_set(), cancel_futures=True)

    def _take(self, entry: Entry, progress: Submitted, result: Result | None) -> None:
        if result and result.version_id == progress.version_id:
            self._conclude(entry, progress, result)
        else:
            self._look_for_loss(entry, progress, result)

    def _may_ask(self, path: StorePath, progress: Submitted, now: float) -> bool:
        """Ask often at first (verdicts take seconds), then ever more rarely: after a quarter of the wait so far.

        A clock that was set back must not silence us: the last question then lies in the future, and does not count.
        """
        waited = max(0.0, now - progress.since)
        asked_at = self._asked_at.get(path, progress.since)
        return asked_at > now or now - asked_at >= min(MOST_BETWEEN, max(FIRST_ASKED, waited / 4))

    def _look_for_loss(self, entry: Entry, progress: Submitted, result: Result | None) -> None:
        """Submit anew what no verdict will come for.

        Either another machine with this builder's name submitted the same path, and its verdict overwrote ours; or the
        submission, or S3's event of it, was lost, which nobody else would ever notice.
        """
        waited = self._now() - progress.since
        superseded = (
            result is not None
            and result.at > progress.staged_at
            and waited > SUPERSEDED_SECONDS
            and is_final(result.verdict)
        )
        if superseded:
            self._start_anew(entry, Queued())
            return
        # An older verdict than the submission says as little of it as none.
        nothing_said = result is None or result.at <= progress.staged_at
        if nothing_said and waited > LOST_SECONDS * 2.0 ** min(progress.uploads - 1, _MOST_DOUBLINGS):
            self._report.problem(
                f"{entry.path.base_name} got no verdict for {waited / 3600:.0f} h; it is submitted anew."
            )
            self._start_anew(entry, Queued(uploads=progress.uploads))

    def _conclude(self, entry: Entry, progress: Submitted, result: Result) -> None:
        path = entry.path
        match result.verdict:
            case Published(warnings=warnings):
                for warning in warnings:
                    self._report.problem(f"warning {path.base_name} {wording.of_warning(warning)}")
                self._report.progress(f"published {path.base_name}")
                self._finish(path, result, "; ".join(map(wording.of_warning, warnings)))
            case Duplicate(upstream=upstream):
                remark = f"{upstream} has it" if upstream else ""
                self._report.progress(f"duplicate {path.base_name}{f': {remark}' if remark else ''}")
                self._finish(path, result, remark)
            case Waiting() | AwaitingQuorum() as verdict:
                self._await(entry, progress, verdict)
            case Rejected(code=code) as rejected if code in _LOST and progress.uploads < MAX_UPLOADS:
                # Staging's lifecycle rule took it, or another of this builder's machines replaced it.
                again = self._now() + delay(Cause.SERVICE, progress.uploads)
                problem = wording.of_rejection(rejected)
                self._start_anew(
                    entry,
                    Queued(uploads=progress.uploads, next_attempt_at=again, problem=problem, cause=Cause.SERVICE),
                )
            case Rejected() as rejected:
                self._refuse(path, wording.of_rejection(rejected), code=rejected.code)
            case Conflict() as conflict:
                self._refuse(path, wording.of_conflict(conflict), code=conflict.kind)

    def _finish(self, path: StorePath, result: Result, remark: str) -> None:
        if dispute := wording.of_dispute(result):
            self._report.problem(f"warning {path.base_name}: {dispute}")
        self._queue.conclude(path, Concluded(path, self._now(), result.verdict.kind.value, remark or dispute))
        self._asked_at.pop(path, None)

    def _refuse(self, path: StorePath, problem: str, *, code: str) -> None:
        self._report.problem(f"rejected {path.base_name}: {problem}")
        self._queue.refuse(path, code=code, problem=problem)
        self.refused += 1
        self._asked_at.pop(path, None)

    def _await(self, entry: Entry, progress: Submitted, verdict: Waiting | AwaitingQuorum) -> None:
        if isinstance(verdict, Waiting):
            awaiting = replace(progress, waits_for=verdict.missing, quorum=None)
            line = f"waiting {entry.path.base_name} for {', '.join(other.base_name for other in verdict.missing)}"
        else:
            awaiting = replace(progress, waits_for=(), quorum=verdict)
            line = f"awaiting a quorum {entry.path.base_name}: {wording.of_quorum(verdict)}"
        if awaiting != progress:
            # First of all: once the entry says that it waits, nobody looks again at what it waits for.
            self._make_up(awaiting.waits_for)
            self._report.progress(line)
            self._queue.save(replace(entry, progress=awaiting))

    def _make_up(self, missing: tuple[StorePath, ...]) -> None:
        """Queue what was left out because it was remembered as published, and is not (any more)."""
        now = self._now()
        wrong = self._queue.recall_present(missing, now)
        for path in self._nix_store.infos(wrong):
            if self._queue.get(path) is None:
                self._queue.root(path)
                self._queue.save(Entry(path, now, Queued()))
        self._queue.forget_present(wrong)

    def _start_anew(self, entry: Entry, progress: Queued) -> None:
        self._queue.root(entry.path)
        self._queue.save(replace(entry, progress=progress))
        self._asked_at.pop(entry.path, None)
