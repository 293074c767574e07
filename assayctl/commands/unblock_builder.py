"""``assayctl unblock-builder``: let a blocked builder in again."""

from __future__ import annotations

import argparse

from assayctl.builders import BuilderRoles
from assayctl.commands.arguments import builder_name
from assayctl.deployment import Deployment


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "unblock-builder",
        help="let a blocked builder in again",
        description="Sessions from before this moment stay refused: whoever stole one still has it. Renew what the"
        " builder signs in with first.",
    )
    parser.add_argument("builder", type=builder_name, help="its name in the stage's configuration")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    BuilderRoles(deployment.session.client("iam")).unblock(deployment.role(arguments.builder))
    print(f"{arguments.builder} may upload again, with sessions that begin from now on.")
    return 0
