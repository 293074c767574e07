"""``assay push``: upload store paths now, and wait for their verdicts."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from hook import post_build
from hook.commands.named_paths import HELP, store_path
from hook.commands.timeout import add_timeout
from hook.commands.upload import upload
from hook.config import uploader_config
from hook.exit_code import ExitCode
from hook.nix_store import vanished

if TYPE_CHECKING:
    from hook.report import Report


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "push",
        help="queue store paths now, upload them, wait for their verdicts",
        description="Queues store paths, or what symlinks such as ./result point to, uploads them with what their"
        " closures lack in the cache, and waits for the verdicts. A path that was rejected before is tried again."
        " Where another uploader works on the queue already, it waits for that one.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help=HELP)
    add_timeout(parser)


def run(arguments: argparse.Namespace, report: Report) -> ExitCode:
    """Push; raises PermanentError, TransientError and OSError."""
    config = uploader_config(os.environ)
    store_dir = config.machine.store_dir
    paths = [store_path(text, store_dir) for text in arguments.paths]
    for path in paths:
        if not os.path.lexists(full_path := store_dir.render(path)):
            report.problem(str(vanished(full_path)))
            return ExitCode.REFUSED
    post_build.enqueue(str(config.machine.state_dir), [store_dir.render(path) for path in paths])
    return upload(config, frozenset(paths), timeout=arguments.timeout, report=report)
