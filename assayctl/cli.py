"""The command line of an operator, ``assayctl``: each command of a runbook, on one deployed stage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

import boto3
from botocore.exceptions import BotoCoreError

from assayctl.commands import (
    announce_keys,
    block_builder,
    dead_letters,
    import_key,
    re_sign,
    reader,
    readmit,
    restore,
    retire_key,
    rotate_key,
    status,
    unblock_builder,
    withdraw,
)
from assayctl.deployment import Deployment
from nixcache.errors import PermanentError, TransientError
from protocol.version import VERSION

_COMMANDS: Final = (
    status,
    dead_letters,
    announce_keys,
    rotate_key,
    import_key,
    retire_key,
    re_sign,
    withdraw,
    restore,
    readmit,
    block_builder,
    unblock_builder,
    reader,
)
DONE: Final = 0
FOUND: Final = 1
"""There is something to look at."""
USAGE: Final = 2
TROUBLE: Final = 4

_DESCRIPTION: Final = """\
Operates a deployed Assay: what docs/runbooks say, as commands. Account, region and credentials come from AWS's own
variables and files (AWS_PROFILE, AWS_REGION)."""

_EPILOG: Final = """\
exit codes:
  0    done; nothing to look at
  1    there is something to look at, or nothing was done
  2    wrong arguments, or another deployment than this version's
  4    AWS refused, or cannot be reached"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; every failure is one line on standard error."""
    arguments = parser().parse_args(argv)
    try:
        deployment = Deployment.find(arguments.stage, boto3.Session())
        code: int = arguments.run(arguments, deployment)
    except KeyboardInterrupt:
        return 130
    except PermanentError as error:
        return _fail(str(error), USAGE)
    except (TransientError, BotoCoreError, OSError) as error:
        return _fail(str(error), TROUBLE)
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser; what it returns has the command's ``run``."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="assayctl", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"assayctl {VERSION}", help="show the version and exit")
    parser.add_argument("--stage", default="dev", help="which deployment (default: %(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands).set_defaults(run=command.run)
    return parser


def _fail(line: str, code: int) -> int:
    print(f"assayctl: {line}", file=sys.stderr)
    return code
