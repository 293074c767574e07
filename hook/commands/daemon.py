"""``assay daemon``: upload what is queued until stopped."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from hook.config import uploader_config
from hook.daemon import serve
from hook.stopping import stop_on_signals

if TYPE_CHECKING:
    from hook.exit_code import ExitCode
    from hook.report import Report


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    commands.add_parser(
        "daemon",
        help="upload what is queued until stopped (the same as upload without --once)",
        description="Watches the queue and uploads until SIGTERM or Ctrl-C; what is then under way is resumed later.",
    )


def run(_: argparse.Namespace, report: Report) -> ExitCode:
    """Work; raises PermanentError and TransientError for the configuration."""
    # boto3 takes a third of a second, and most commands do without.
    from hook.assembly import assemble  # noqa: PLC0415

    config = uploader_config(os.environ)
    with stop_on_signals() as stop:
        queue, uploader = assemble(config, report=report, stop=stop)
        return serve(queue, uploader, report=report, stop=stop)
