"""``assay hook-script``: the script that nix.conf's ``post-build-hook`` names."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hook.config import machine_config
from hook.errors import BuilderCode
from hook.exit_code import ExitCode
from hook.hook_script import keep_program, render
from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from hook.report import Report


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "hook-script",
        help="print or install the script that nix.conf's post-build-hook names",
        description="Writes a script with this Python, this installation and the state directory baked in: a Nix daemon"
        " gives its hook no other way to know them. Under a daemon it runs as root, so Assay should be installed where"
        " only root can write.",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it there, executable (default: print it)")


def run(arguments: argparse.Namespace, report: Report) -> ExitCode:
    """Print or write it; raises PermanentError and OSError."""
    config = machine_config(os.environ)
    script = render(config)
    output: Path | None = arguments.output
    if output is None:
        keep_program(config)
        report.document(script.rstrip())
        return ExitCode.DONE
    if not output.parent.is_dir():
        raise PermanentError(
            BuilderCode.CONFIG_INVALID,
            f"--output: there is no directory {output.parent}.",
            remedy="Make it first, writable for root alone.",
        )
    keep_program(config)
    # Beside its place and then into it: Nix may start the old one at this very moment.
    tmp = output.with_name(f".{output.name}.tmp")
    tmp.write_text(script)
    tmp.chmod(0o755)
    tmp.replace(output)
    report.progress("Written. Add this line to nix.conf, and restart the Nix daemon if there is one:")
    report.progress(f"post-build-hook = {output.absolute()}")
    return ExitCode.DONE
