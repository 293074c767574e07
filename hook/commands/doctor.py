"""``assay doctor``: one line for each thing that has to be right, with the fix where it is not."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from hook.exit_code import ExitCode

if TYPE_CHECKING:
    import argparse

    from hook.doctor.check import Check
    from hook.report import Report

SCHEMA: Final = 1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "doctor",
        help="check configuration, Nix, hook, queue, credentials, clock, buckets and caches",
        description="Looks at everything that has to be right, a line each, and says how to mend what is not. Changes"
        " nothing and leaves nothing. Exit code: 0 where nothing fails (there may be warnings), 1 otherwise.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace, report: Report) -> ExitCode:
    """Check, and tell; raises nothing."""
    # boto3 takes a third of a second to be imported, which the other commands need not wait for.
    from hook.doctor.check import Status  # noqa: PLC0415
    from hook.doctor.examination import examine  # noqa: PLC0415

    checks = examine()
    if arguments.json:
        report.document(json.dumps({"schema": SCHEMA, "checks": [asdict(check) for check in checks]}, indent=1))
    else:
        for check in checks:
            report.progress(_line(check))
    return ExitCode.REFUSED if any(check.status is Status.FAIL for check in checks) else ExitCode.DONE


def _line(check: Check) -> str:
    finding, fix = (" ".join(text.split()).rstrip(".") for text in (check.finding, check.fix))
    return f"{check.status:<4}  {check.name}: {finding}{f'. Fix: {fix}' if fix else ''}"
