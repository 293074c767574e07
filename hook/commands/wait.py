"""``assay wait``: the last step of a CI job, whose exit code says whether all of it is published."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Collection
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from hook.commands.named_paths import HELP, store_path
from hook.commands.timeout import add_timeout
from hook.commands.upload import tell
from hook.config import machine_config, uploader_config
from hook.follow import Ending, Everything, Fate, Followed, Named, follow
from hook.post_build import describe
from hook.queue.view import QueueView
from nixcache.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from hook.exit_code import ExitCode
    from hook.report import Report
    from nixcache.store_path import StoreDir, StorePath

SCHEMA: Final = 1
_NAMED: Final = 20
"""Paths without a verdict that are named to people."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "wait",
        help="wait until paths are published, and say by the exit code whether they are",
        usage="assay wait [-h] [--timeout SECONDS] [--json] (PATH ... | --all)",
        description="Waits for an uploader that works elsewhere (assay daemon) to bring paths to their verdicts. Exits"
        " with 0 where all are published, 1 where one was rejected, waits for one that was, or is unknown to queue and"
        " cache, and 3 where time ran out. --all takes what is queued at this moment, and what was rejected and is"
        " still there: an earlier step of the same job may have brought it (assay forget --rejected drops it).",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help=HELP)
    parser.add_argument("--all", action="store_true", help="wait for all that is in the queue now")
    add_timeout(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document (docs/reference/assay-json.md)")
    parser.set_defaults(check=lambda arguments: _check(parser, arguments))


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End the process with its usage where the arguments contradict one another."""
    if bool(arguments.paths) == arguments.all:
        parser.error("name paths, or give --all")


def run(arguments: argparse.Namespace, report: Report) -> ExitCode:
    """Wait; raises PermanentError, TransientError and OSError."""
    config = machine_config(os.environ)
    view = QueueView(config.state_dir, config.store_dir)
    named = [store_path(text, config.store_dir) for text in arguments.paths]
    try:
        followed = _follow(view, named, arguments, report)
    except (TransientError, OSError) as error:
        if arguments.json:
            unseen = {path: Fate(path, Ending.OPEN, "open", _said(error)) for path in named}
            report.document(as_json(Followed(fates=unseen, trouble=error), config.store_dir))
        raise
    if arguments.json:
        report.document(as_json(followed, config.store_dir))
    elif followed.is_timed_out:
        _tell_open(followed, report)
    return followed.code


def _follow(view: QueueView, named: list[StorePath], arguments: argparse.Namespace, report: Report) -> Followed:
    paths = Named(named) if named else Everything(view, rejected=True)
    if not arguments.json and _is_idle(view):
        report.problem(
            f"no uploader works on {view.state_dir}: until `assay daemon` or `assay upload --once` runs, nothing moves."
        )
    return follow(
        view,
        paths,
        timeout=arguments.timeout,
        tell=(lambda _: None) if arguments.json else (lambda fate: tell(fate, report)),
        tell_trouble=lambda trouble: report.problem(str(trouble)),
        pause=Event().wait,
        is_published=_asks_cache(view.store_dir),
    )


def as_json(followed: Followed, store_dir: StoreDir) -> str:
    """Return one JSON document."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "exitCode": int(followed.code),
        "timedOut": followed.is_timed_out,
        "trouble": _said(followed.trouble) if followed.trouble else "",
        "paths": [_document(fate, store_dir) for fate in followed.fates.values()],
    }
    return json.dumps(document, indent=1)


def _document(fate: Fate, store_dir: StoreDir) -> dict[str, str]:
    return {"storePath": store_dir.render(fate.path), "outcome": fate.outcome, "why": fate.why}


def _said(error: TransientError | OSError) -> str:
    return describe(error) if isinstance(error, OSError) else str(error)


def _is_idle(view: QueueView) -> bool:
    overview = view.overview(limit=0)
    return overview.owner is None and (overview.spooled > 0 or any(overview.counts.values()))


def _tell_open(followed: Followed, report: Report) -> None:
    open_ = [fate for fate in followed.fates.values() if fate.ending is Ending.OPEN]
    for fate in open_[:_NAMED]:
        report.problem(f"no verdict yet {fate.path.base_name}: {fate.why}")
    more = f" {len(open_) - _NAMED:,} more have none yet either." if len(open_) > _NAMED else ""
    report.problem(f"no verdict in time; everything is kept in the queue. See `assay status`.{more}")


def _asks_cache(store_dir: StoreDir) -> Callable[[Collection[StorePath]], set[StorePath]] | None:
    """Return what asks the cache, if this machine is told where it is."""
    try:
        config = uploader_config(os.environ)
    except PermanentError:
        # The queue and its journal mostly know; whoever waits may have no more than the state directory.
        return None
    # What speaks HTTP costs as long to import as all else here.
    from hook.lookup import NarInfoLookup  # noqa: PLC0415

    return NarInfoLookup(config.cache_url, config.upstreams, store_dir).present
