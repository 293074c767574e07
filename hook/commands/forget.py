"""``assay forget``: drop what was rejected, once somebody has read why."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from hook.commands.named_paths import HELP, store_path
from hook.config import machine_config
from hook.exit_code import ExitCode
from hook.queue.entry import Refused
from hook.queue.view import QueueView

if TYPE_CHECKING:
    from hook.report import Report
    from nixcache.store_path import StorePath


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "forget",
        help="drop rejected paths from the queue",
        usage="assay forget [-h] (PATH ... | --rejected)",
        description="Drops paths that were rejected, so that `assay status` and `assay wait --all` speak of them no"
        " more. What is queued or submitted stays. Nothing is deleted from the store.",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help=HELP)
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
    # A state directory that cannot be one is told, which the rejected alone, of which there are then none, would not.
    if not view.overview(limit=0).counts.get(Refused.state):
        return ExitCode.DONE
    for refused in view.refused():
        _tell(view.forget(refused), report)
    return ExitCode.DONE


def _tell(forgotten: set[StorePath], report: Report) -> None:
    for path in sorted(forgotten):
        report.progress(f"forgotten {path.base_name}")
