"""``assayctl reader``: who may read a cache that asks for a password."""

from __future__ import annotations

import argparse
import sys
from urllib.parse import urlsplit

from assayctl.deployment import Deployment
from assayctl.errors import invalid
from assayctl.readers import Readers
from protocol.outputs import Output

_ADD, _REMOVE, _LIST = "add", "remove", "list"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "reader",
        help="add, remove or list who reads a cache with passwords",
        description="For a deployment with `readers: basic-auth`. `add` makes a password and prints the line for the"
        " reader's netrc, once: AWS keeps a hash, and nothing shows the password again. Of a name that is there, `add`"
        " makes a new password, and the one before opens nothing any more. It takes effect within seconds. Needs what"
        " requirements-readers.txt names.",
    )
    parser.add_argument("action", choices=(_ADD, _REMOVE, _LIST))
    parser.add_argument("name", metavar="NAME", nargs="?", help="up to 64 of A-Z a-z 0-9 . _ @ -")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    readers = Readers.of(deployment)
    if arguments.action == _LIST:
        if arguments.name is not None:
            raise invalid("`list` takes no name.", "Leave it out.")
        for name in readers.names():
            print(name)
        return 0
    if arguments.name is None:
        raise invalid("No reader is named.", f"Write `assayctl reader {arguments.action} NAME`.")
    if arguments.action == _REMOVE:
        was_there = readers.remove(arguments.name)
        print(f"{arguments.name} is let in no more." if was_there else f"There is no reader {arguments.name}.")
        return 0 if was_there else 1
    host = urlsplit(deployment.output(Output.CACHE_URL)).hostname
    password, had_one = readers.set_password(arguments.name)
    if had_one:
        # Not with the line itself: that goes into a file as it is.
        print(f"{arguments.name} was there: the password before this one opens nothing any more.", file=sys.stderr)
    print(f"machine {host} login {arguments.name} password {password}")
    return 0
