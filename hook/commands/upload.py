"""``assay upload``: upload what is queued, once or until stopped."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hook.commands import daemon
from hook.commands.timeout import add_timeout
from hook.config import uploader_config
from hook.daemon import drain
from hook.exit_code import ExitCode
from hook.follow import Ending, Everything, Fate, Followed, Named, follow
from hook.queue.view import QueueView
from hook.stopping import stop_on_signals
from nixcache.errors import TransientError

if TYPE_CHECKING:
    from threading import Event

    from hook.config import UploaderConfig
    from hook.report import Report
    from nixcache.store_path import StorePath


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "upload",
        help="upload what is queued",
        description="Uploads what is queued: once, waiting for the verdicts, or, without --once, until it is stopped."
        " Where another uploader works on the queue already, --once waits for that one.",
    )
    parser.add_argument("--once", action="store_true", help="empty the queue, wait for the verdicts, and exit")
    add_timeout(parser)


def run(arguments: argparse.Namespace, report: Report) -> ExitCode:
    """Upload; raises PermanentError, TransientError and OSError."""
    if not arguments.once:
        return daemon.run(arguments, report)
    return upload(uploader_config(os.environ), None, timeout=arguments.timeout, report=report)


def upload(config: UploaderConfig, only: frozenset[StorePath] | None, *, timeout: float, report: Report) -> ExitCode:
    """Upload what is queued, and wait for the verdicts on it, of ``only`` those, if given; or let the owner do it.

    Raises PermanentError, TransientError and OSError.
    """
    # boto3 takes a third of a second, and most commands do without.
    from hook.assembly import assemble  # noqa: PLC0415

    deadline = time.monotonic() + timeout
    is_told = False
    with stop_on_signals() as stop:
        queue, uploader = assemble(config, report=report, stop=stop)
        while True:
            left = max(0.0, deadline - time.monotonic())
            code = drain(queue, uploader, report=report, stop=stop, timeout=left, only=only)
            if code is not None:
                return code
            if not is_told:
                report.progress(f"another uploader works on {queue.state_dir}; waiting for it.")
                is_told = True
            followed = _follow_owner(config, only, timeout=left, report=report, stop=stop)
            # The owner may have ended before it came to ours: then they are for us.
            if not followed.is_abandoned:
                return _told(followed, report)


def _follow_owner(
    config: UploaderConfig, only: frozenset[StorePath] | None, *, timeout: float, report: Report, stop: Event
) -> Followed:
    # What speaks HTTP costs as long to import as all else here.
    from hook.lookup import NarInfoLookup  # noqa: PLC0415

    store_dir = config.machine.store_dir
    view = QueueView(config.machine.state_dir, store_dir)
    # What was refused before is no failure of this run.
    paths = Everything(view, rejected=False) if only is None else Named(only)
    with suppress(TransientError):
        # Somebody waits for it: nothing stays postponed. Only root and the owner's user may say so.
        view.nudge()
    return follow(
        view,
        paths,
        timeout=timeout,
        tell=lambda fate: tell(fate, report),
        tell_trouble=lambda trouble: report.problem(str(trouble)),
        pause=stop.wait,
        while_owned=True,
        is_published=NarInfoLookup(config.cache_url, config.upstreams, store_dir).present,
    )


def tell(fate: Fate, report: Report) -> None:
    """Say what became of a path."""
    if fate.ending is Ending.PUBLISHED:
        report.progress(str(fate))
    else:
        report.problem(str(fate))


def _told(followed: Followed, report: Report) -> ExitCode:
    if followed.is_timed_out:
        report.problem("no verdict in time; everything is kept in the queue. See `assay status`.")
    return followed.code
