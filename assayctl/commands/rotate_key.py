"""``assayctl rotate-key``: have AWS make a new signing key."""

from __future__ import annotations

import argparse

from assayctl.deployment import Deployment
from assayctl.keys import SigningSecret
from protocol.outputs import Output


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    return commands.add_parser(
        "rotate-key",
        help="have AWS make a new signing key",
        description="A key is made in AWS, seen by nobody, and signs from now on; the one before signs beside it until"
        " the overlap ends, so that no reader has to act at once. Nothing published is touched: see `assayctl"
        " re-sign`.",
    )


def run(_: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    secret = deployment.output(Output.SIGNING_SECRET_NAME)
    SigningSecret(deployment.session.client("secretsmanager"), secret).rotate()
    print(f"A new key is being made for {secret}. `public-keys` in the cache shows it within minutes.")
    return 0
