"""``assay forget``: drop what was rejected, once somebody has read why."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Final

from hook.commands.named_paths import store_path
from hook.config import machine_config
from hook.exit_code import ExitCode
from hook.queue.entry import Refused
from hook.queue.view import QueueView

if TYPE_CHECKING:
    from hook.report import Report
    from nixcache.store_path import StorePath

_LISTED: Final = 100_000
"""Entries that are looked through at most: as many as one answer of the owner may carry."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "forget",
        help="drop rejected paths from the queue",
        usage="assay forget [-h] (PATH ... | --rejected)",
        description="Drops paths that were rejected, so that `assay status` and `assay wait --all` speak of them no"
        " more. What is queued or submitted stays. Nothing is deleted from the store.",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a store path, or a symlink to one")
    parser.add_argument("--rejected", action="store_true", help="drop all that were rejected")
    parser.set_defaults(check=lambda arguments: _check(parser, arguments))


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End the process with its usage where the arguments contradict one another."""
    if bool(arguments.paths) == arguments.rejected:
        parser.error("name paths, or give --rejected")


def run(arguments: argparse.Namespace, report: Report) -> ExitCode:
    """Drop them; raises PermanentError, TransientError and OSError."""
    config = machine_config(os.environ)
    view = QueueView(config.state_dir, config.store_dir)
    if arguments.rejected:
        return _forget_all(view, report)
    paths = [store_path(text, config.store_dir) for text in arguments.paths]
    forgotten = view.forget(paths)
    _tell(forgotten, report)
    kept = [path for path in paths if path not in forgotten]
    for path in kept:
        report.problem(f"{path.base_name} is not forgotten: it is not among the rejected.")
    return ExitCode.REFUSED if kept else ExitCode.DONE


def _forget_all(view: QueueView, report: Report) -> ExitCode:
    while True:
        overview = view.overview(limit=_LISTED)
        refused = {entry.path for entry in overview.entries if isinstance(entry.progress, Refused)}
        forgotten = view.forget(refused)
        _tell(forgotten, report)
        if not forgotten:
            break
    left = overview.counts.get(Refused.state, 0)
    if left:
        report.problem(f"{left:,} more were rejected, behind {_LISTED:,} older entries; name their paths.")
        return ExitCode.REFUSED
    return ExitCode.DONE


def _tell(forgotten: set[StorePath], report: Report) -> None:
    for path in sorted(forgotten):
        report.progress(f"forgotten {path.base_name}")
