"""``assayctl re-sign``: add the present key's signature to everything published."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from assayctl.delivery import invalidate_everything
from assayctl.deployment import Deployment
from assayctl.errors import aws, invalid
from assayctl.keys import announced
from protocol.outputs import Output
from protocol.public_keys import PublicKeys

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

_POLL_SECONDS: Final = 5.0
_CDN: Final = "The CDN goes on with the old text for an hour, unless this is run once more, and waited for."


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "re-sign",
        help="add the present key's signature to everything published",
        description="Starts the state machine that adds the present key's signature to each narinfo, and waits for its"
        " end. It can be started again at any time. Plain, it signs what bears a valid signature of a key that the"
        " secret still has. With --revoked, after a leak, it reads and proves again what bears a signature of that key,"
        " takes that away, and has the CDN forget. With --reverify it proves and signs what no present key has signed:"
        " after a new secret, or after years. What the ledger does not attest is not signed by either.",
    )
    parser.add_argument("--revoked", action="append", default=[], metavar="KEY-NAME", help="a key that leaked")
    parser.add_argument("--reverify", action="store_true", help="prove again what no present key has signed")
    parser.add_argument("--no-wait", action="store_true", help="start it, and end")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    _check(arguments.revoked, announced(deployment))
    is_thorough = bool(arguments.revoked) or arguments.reverify
    mode = {"mode": "reverify", "revoked": arguments.revoked} if is_thorough else {"mode": "add"}
    states: SFNClient = deployment.session.client("stepfunctions")
    machine = deployment.output(Output.RESIGNING_STATE_MACHINE)
    with aws("Re-signing cannot be started"):
        execution = states.start_execution(stateMachineArn=machine, input=json.dumps(mode))["executionArn"]
    print(execution)
    if arguments.no_wait:
        if arguments.revoked:
            print(_CDN)
        return 0
    try:
        described = _ended(states, execution)
    except BaseException:
        # Interrupted, or its credentials expired: the machine goes on, but nobody will invalidate.
        if arguments.revoked:
            print(_CDN)
        raise
    if arguments.revoked:
        # Also where some were left: what was re-signed is not to be served with the old signature for an hour.
        invalidate_everything(deployment)
    print(f"{described['status'].lower()} {described.get('output') or described.get('cause') or ''}".rstrip())
    return 0 if described["status"] == "SUCCEEDED" else 1


def _ended(states: SFNClient, execution: str) -> DescribeExecutionOutputTypeDef:
    """Wait for its end, for hours if need be; raises TransientError."""
    while True:
        with aws("Re-signing cannot be followed"):
            described = states.describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            return described
        time.sleep(_POLL_SECONDS)


def _check(revoked: Sequence[str], public_keys: PublicKeys) -> None:
    """Refuse at once what the function would refuse batch by batch: a key that is in use."""
    in_use = [key.public_key.name for key in public_keys.keys]
    for name in revoked:
        if name in in_use[:1]:
            raise invalid(f"{name} is the key that signs.", "Rotate first: docs/runbooks/leaked-key.md.")
        if name in in_use:
            raise invalid(f"{name} is still in the secret.", f"Let it go first: `assayctl retire-key {name}`.")
        if name not in (key.name for key in public_keys.past):
            # Not refused: a cache that was moved here may bear signatures of keys that were never announced here.
            print(f"assayctl: this cache never announced a key {name}: is it spelt right?", file=sys.stderr)
