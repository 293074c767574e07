"""``assayctl re-sign``: add the present key's signature to everything published."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Final

from assayctl.deployment import Deployment
from assayctl.errors import aws
from protocol.outputs import Output

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_POLL_SECONDS: Final = 5.0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "re-sign",
        help="add the present key's signature to everything published",
        description="Starts the state machine that adds the present key's signature to each narinfo, and waits for its"
        " end. It can be started again at any time. Plain, it signs what still bears a valid signature of a"
        " trusted key. With --revoked it reads and proves every NAR again, and takes the named keys'"
        " signatures away: after a leak.",
    )
    parser.add_argument("--revoked", action="append", default=[], metavar="KEY-NAME", help="a key that leaked")
    parser.add_argument("--no-wait", action="store_true", help="start it, and end")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    states: SFNClient = deployment.session.client("stepfunctions")
    machine = deployment.output(Output.RESIGNING_STATE_MACHINE)
    mode = {"mode": "reverify", "revoked": arguments.revoked} if arguments.revoked else {"mode": "add"}
    with aws("Re-signing cannot be started"):
        execution = states.start_execution(stateMachineArn=machine, input=json.dumps(mode))["executionArn"]
    print(execution)
    if arguments.no_wait:
        return 0
    while True:
        with aws("Re-signing cannot be followed"):
            described = states.describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            print(f"{described['status'].lower()} {described.get('output') or described.get('cause') or ''}".rstrip())
            return 0 if described["status"] == "SUCCEEDED" else 1
        time.sleep(_POLL_SECONDS)
