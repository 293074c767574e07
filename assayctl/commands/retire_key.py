"""``assayctl retire-key``: let the previous key sign nothing any more."""

from __future__ import annotations

import argparse

from assayctl.deployment import Deployment
from assayctl.key_function import KeyFunction
from assayctl.keys import SigningSecret
from protocol.outputs import Output


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    return commands.add_parser(
        "retire-key",
        help="let the previous key sign nothing any more",
        description="Ends the overlap of a rotation now: for a key that leaked, or that no reader needs."
        " What it has signed stays signed: see `assayctl re-sign --revoked`.",
    )


def run(_: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    secret = SigningSecret(deployment.session.client("secretsmanager"), deployment.output(Output.SIGNING_SECRET_NAME))
    if not secret.retire_previous():
        print("There is no previous key.")
        return 1
    KeyFunction(deployment).announce()
    print("The previous key signs nothing any more, five minutes from now at the latest.")
    return 0
