"""``assayctl retire-key``: let the previous key sign nothing any more."""

from __future__ import annotations

import argparse

from assayctl.deployment import Deployment
from assayctl.errors import invalid
from assayctl.key_function import KeyFunction
from assayctl.keys import SigningSecret


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "retire-key",
        help="let the previous key sign nothing any more",
        description="Ends the overlap of a rotation now: for a key that leaked, or that no reader needs."
        " What it has signed stays signed: see `assayctl re-sign --revoked`.",
    )
    parser.add_argument("name", metavar="NAME", help="the previous key's name, as `assayctl status` shows it")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    function = KeyFunction(deployment)
    # Announced anew before: an operator who cannot read the secret retires what is in it now, and not an hour ago.
    names = function.announce()
    if arguments.name in names[:1]:
        raise invalid(f"{arguments.name} is the key that signs.", "Rotate first: `assayctl rotate-key`.")
    if arguments.name not in names:
        print(f"{arguments.name} is not the previous key: {', '.join(names[1:]) or 'there is none'}.")
        return 1
    SigningSecret(deployment).retire_previous()
    function.announce()
    print(f"{arguments.name} signs nothing any more, five minutes from now at the latest.")
    return 0
