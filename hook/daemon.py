"""The uploader's two lives: for ever beside a Nix daemon, or once, as a step of a CI job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hook.errors import of_disk
from hook.exit_code import ExitCode
from hook.queue.entry import Refused, Submitted
from hook.queue.intake import ASKED_AT_ONCE
from hook.queue.spool import Spool
from nixcache.errors import AssayError

if TYPE_CHECKING:
    from threading import Event

    from hook.queue.queue import Queue
    from hook.report import Report
    from hook.uploader import Uploader
    from nixcache.store_path import StorePath

TICK_SECONDS: Final = 1.0
"""How often the spool is looked at."""
DRAIN_TICK_SECONDS: Final = 0.25
"""The same, where somebody is waiting for it."""
LOOKS: Final = 20
"""How often ``upload --once`` looks in vain at what Nix cannot name: outputs may be registered just after the hook."""
_LOOKED_AT: Final = 1000
ADOPT_SECONDS: Final = 60.0
"""How often roots without an entry are looked for, which costs a look at every root."""


def serve(queue: Queue, uploader: Uploader, *, report: Report, stop: Event) -> ExitCode:
    """Work until ``stop`` is set, whatever goes wrong in between."""
    while not stop.is_set():
        try:
            with queue.owned() as mine:
                if not mine:
                    report.problem(f"another uploader works on {queue.state_dir}; stop it first.")
                    return ExitCode.TROUBLE
                _serve_own(queue, uploader, report, stop)
        except (OSError, AssayError) as error:
            report.trouble(_trouble(error))
            stop.wait(TICK_SECONDS)
    return ExitCode.DONE


def _serve_own(queue: Queue, uploader: Uploader, report: Report, stop: Event) -> None:
    adopted_at = float("-inf")
    while not stop.is_set():
        trouble: Exception | None
        try:
            uploader.take_in()
            # Before the uploads, which may take hours: a database that was lost is then filled again.
            if time.monotonic() - adopted_at >= ADOPT_SECONDS:
                queue.adopt_orphans()
                adopted_at = time.monotonic()
            trouble = uploader.upload_due()
            trouble = uploader.poll() or trouble
        except (OSError, AssayError) as error:
            trouble = _trouble(error)
        if stop.is_set():
            return
        report.trouble(trouble)
        if queue.nudged.wait(TICK_SECONDS):
            queue.nudged.clear()


def drain(
    queue: Queue,
    uploader: Uploader,
    *,
    report: Report,
    stop: Event,
    timeout: float,
    only: frozenset[StorePath] | None = None,
) -> ExitCode | None:
    """Upload what is queued and wait for the verdicts, ``timeout`` seconds at most; of ``only`` those, if given.

    ``None``: another uploader owns the queue, and does the work. Raises OSError and :class:`TransientError` where the
    queue cannot be opened.
    """
    with queue.owned() as mine:
        return _Drain(queue, uploader, report, stop, timeout, only).run() if mine else None


class _Drain:
    """One run of ``upload --once`` or ``push``."""

    def __init__(
        self,
        queue: Queue,
        uploader: Uploader,
        report: Report,
        stop: Event,
        timeout: float,
        only: frozenset[StorePath] | None,
    ) -> None:
        self._queue = queue
        self._uploader = uploader
        self._report = report
        self._stop = stop
        self._deadline = time.monotonic() + timeout
        self._only = only
        self._left: frozenset[str] = frozenset()
        self._looks = 0
        self._adopted = False

    def run(self) -> ExitCode:
        """Work until the end."""
        code = self._run()
        if code is ExitCode.INTERRUPTED:
            self._uploader.give_up_parts()
        return code

    def _run(self) -> ExitCode:
        self._adopted = self._queue.adopt_orphans(young=True)
        while True:
            # Somebody waits for it: nothing stays postponed.
            self._queue.nudge()
            trouble: AssayError | None
            try:
                self._take_in()
                trouble = self._uploader.upload_due()
            except (OSError, AssayError) as error:
                trouble = _trouble(error)
            if self._stop.is_set():
                return ExitCode.INTERRUPTED
            if trouble:
                self._report.trouble(trouble)
                return ExitCode.TROUBLE
            trouble = self._uploader.poll()
            self._report.trouble(trouble)
            if self._is_settled():
                if self._only is not None or not self._queue.has_spooled():
                    return self._outcome()
                if self._cannot_be_taken_in():
                    return ExitCode.REFUSED
            if time.monotonic() > self._deadline:
                self._give_up()
                return ExitCode.TROUBLE if trouble else ExitCode.TIMED_OUT
            if self._stop.wait(DRAIN_TICK_SECONDS):
                return ExitCode.INTERRUPTED

    def _take_in(self) -> None:
        self._uploader.take_in()
        # Nothing is adopted while much is spooled.
        self._adopted = self._adopted or self._queue.adopt_orphans(young=True)

    def _is_settled(self) -> bool:
        """Whether nothing more can become of what is followed without somebody's doing something."""
        if self._only is not None:
            entries = self._queue.get_many(self._only).items()
            going_on = {path for path, entry in entries if not isinstance(entry.progress, Refused)}
            return going_on <= self._queue.blocked() and not self._is_spooled(self._only)
        open_ = self._open()
        return not open_ or open_ == len(self._queue.blocked())

    def _is_spooled(self, paths: frozenset[StorePath]) -> bool:
        """Whether any of ``paths`` is not taken in yet: it may be behind others that Nix had to be asked about."""
        spool = Spool(self._queue.state_dir, self._queue.store_dir)
        return any(not paths.isdisjoint(entry.paths) for entry, _ in spool.readable(spool.names()))

    def _cannot_be_taken_in(self) -> bool:
        """Whether what is spooled stays so although each of it was looked at several times; say it, if so."""
        spool = Spool(self._queue.state_dir, self._queue.store_dir)
        names = frozenset(spool.names())
        self._looks = self._looks + 1 if names == self._left else 0
        self._left = names
        if not names or self._looks < LOOKS + len(names) // ASKED_AT_ONCE:
            return False
        first = min(names)
        built = next((run.drv_path.base_name for run, _ in spool.readable([first]) if run.drv_path), "")
        what = f"Nix names no output of {built}" if built else f"{spool.file(first)} cannot be read"
        others = len(names) - 1
        more = f"; of {others:,} more hook {'run' if others == 1 else 'runs'} it is the same" if others else ""
        self._report.problem(
            f"{what}{more}. It is kept, and the next uploader looks at it again. Push what was built with"
            f" `assay push`, then delete {spool.file(first)}."
        )
        return True

    def _open(self) -> int:
        counts = self._queue.counts()
        return sum(counts.values()) - counts[Refused.state]

    def _outcome(self) -> ExitCode:
        if self._queue.has_set_aside:
            return ExitCode.REFUSED
        if self._only is not None:
            return ExitCode.REFUSED if self._queue.get_many(self._only) else ExitCode.DONE
        # Those that were refused before this run are no failure of it; what is open still waits for a refused one.
        failed = self._uploader.refused or self._open()
        return ExitCode.REFUSED if failed else ExitCode.DONE

    def _give_up(self) -> None:
        awaiting = self._awaiting_quorum()
        self._report.problem(
            "no verdict in time; everything is kept in the queue. See `assay status`; "
            + (
                f"{awaiting} of the paths await a quorum: have another builder build them"
                if awaiting
                else "is the service running, and may this builder read its results in the ledger bucket?"
            )
        )

    def _awaiting_quorum(self) -> int:
        """How many wait for what other builders do; of a long queue, among the first."""
        entries = self._queue.submitted(_LOOKED_AT) if self._only is None else self._queue.get_many(self._only).values()
        return sum(isinstance(entry.progress, Submitted) and entry.progress.quorum is not None for entry in entries)


def _trouble(error: OSError | AssayError) -> AssayError:
    return of_disk(error) if isinstance(error, OSError) else error
