"""The uploader's two lives: for ever beside a Nix daemon, or once, as a step of a CI job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hook.exit_code import ExitCode
from hook.queue.entry import Refused, Submitted
from hook.uploader import stuck
from nixcache.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    from hook.queue.entry import Entry
    from hook.queue.queue import Queue
    from hook.report import Report
    from hook.uploader import Uploader
    from nixcache.store_path import StorePath

TICK_SECONDS: Final = 1.0
"""How often the spool is looked at."""
DRAIN_TICK_SECONDS: Final = 0.25
"""The same, where somebody is waiting for it."""
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
        except OSError as error:
            report.trouble(_of_disk(error))
            stop.wait(TICK_SECONDS)
    return ExitCode.DONE


def _serve_own(queue: Queue, uploader: Uploader, report: Report, stop: Event) -> None:
    adopted_at = float("-inf")
    while not stop.is_set():
        trouble: Exception | None
        try:
            uploader.take_in()
            trouble = uploader.upload_due()
            trouble = uploader.poll() or trouble
            if time.monotonic() - adopted_at >= ADOPT_SECONDS:
                queue.adopt_orphans()
                adopted_at = time.monotonic()
        except (OSError, TransientError) as error:
            trouble = _of_disk(error) if isinstance(error, OSError) else error
        if not stop.is_set():
            report.trouble(trouble)
        stop.wait(TICK_SECONDS)


def drain(
    queue: Queue,
    uploader: Uploader,
    *,
    report: Report,
    stop: Event,
    timeout: float,
    only: frozenset[StorePath] | None = None,
) -> ExitCode:
    """Upload what is queued and wait for the verdicts, ``timeout`` seconds at most; of ``only`` those, if given.

    Where another uploader owns the queue, it is left to do the work, and followed.
    """
    deadline = time.monotonic() + timeout
    followed = set(only or ())
    told = False
    while True:
        with queue.owned() as mine:
            if mine:
                return _drain_own(queue, uploader, report, stop, deadline, followed, follow_all=only is None)
        if not told:
            report.progress(f"another uploader works on {queue.state_dir}; waiting for it")
            told = True
        entries, _ = queue.read()
        if only is None:
            followed |= _open(entries)
        if _settled(entries, followed):
            return _outcome(entries, followed)
        if (code := _give_up(report, stop, deadline, _awaiting_quorum(entries, followed))) is not None:
            return code


def _drain_own(
    queue: Queue,
    uploader: Uploader,
    report: Report,
    stop: Event,
    deadline: float,
    followed: set[StorePath],
    *,
    follow_all: bool,
) -> ExitCode:
    queue.adopt_orphans(young=True)
    while True:
        try:
            uploader.take_in()
            if follow_all:
                followed |= _open(queue.entries)
            trouble = uploader.upload_due(all_now=True)
        except OSError as error:
            trouble = _of_disk(error)
        if stop.is_set():
            return ExitCode.INTERRUPTED
        if trouble:
            report.trouble(trouble)
            return ExitCode.TROUBLE
        trouble = uploader.poll()
        report.trouble(trouble)
        if follow_all:
            followed |= _open(queue.entries)
        if _settled(queue.entries, followed) and not queue.has_spooled():
            return ExitCode.REFUSED if queue.has_set_aside else _outcome(queue.entries, followed)
        if (code := _give_up(report, stop, deadline, _awaiting_quorum(queue.entries, followed))) is not None:
            return ExitCode.TROUBLE if trouble else code


def _of_disk(error: OSError) -> TransientError:
    place = f" {error.filename}" if error.filename else ""
    return TransientError(
        f"The queue cannot be read or written:{place} {error.strerror}.",
        remedy="Check the free space and the permissions there.",
    )


def _open(entries: Mapping[StorePath, Entry]) -> set[StorePath]:
    return {path for path, entry in entries.items() if not isinstance(entry.progress, Refused)}


def _settled(entries: Mapping[StorePath, Entry], followed: set[StorePath]) -> bool:
    """Whether nothing more can become of ``followed`` without somebody's doing something."""
    return (_open(entries) & followed) <= stuck(entries)


def _outcome(entries: Mapping[StorePath, Entry], followed: set[StorePath]) -> ExitCode:
    return ExitCode.DONE if followed.isdisjoint(entries) else ExitCode.REFUSED


def _awaiting_quorum(entries: Mapping[StorePath, Entry], followed: set[StorePath]) -> int:
    """How many of ``followed`` wait for what other builders do."""
    progresses = (entry.progress for path, entry in entries.items() if path in followed)
    return sum(isinstance(progress, Submitted) and progress.quorum is not None for progress in progresses)


def _give_up(report: Report, stop: Event, deadline: float, awaiting_quorum: int) -> ExitCode | None:
    """Wait a little; tell whether waiting any longer is over."""
    if time.monotonic() > deadline:
        report.problem(
            "no verdict in time; everything is kept in the queue. See `assay status`; "
            + (
                f"{awaiting_quorum} of the paths await a quorum: have another builder build them"
                if awaiting_quorum
                else "is the service running, and may this builder read its results in the ledger bucket?"
            )
        )
        return ExitCode.TIMED_OUT
    return ExitCode.INTERRUPTED if stop.wait(DRAIN_TICK_SECONDS) else None
