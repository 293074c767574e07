"""``assayctl block-builder``: refuse a builder whose credentials leaked."""

from __future__ import annotations

import argparse

from assayctl.builders import BuilderRoles
from assayctl.commands.arguments import builder_name
from assayctl.deployment import Deployment


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "block-builder",
        help="refuse a builder whose credentials leaked",
        description="Denies the builder's role everything at once, for sessions that are out there, too. `cdk deploy`"
        " leaves that as it is. What it has published: see `assayctl withdraw --builder`.",
    )
    parser.add_argument("builder", type=builder_name, help="its name in the stage's configuration")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    BuilderRoles(deployment.session.client("iam")).block(deployment.role(arguments.builder))
    print(f"{arguments.builder} is refused from now on, within seconds everywhere.")
    return 0
