"""``assayctl rotate-key``: have AWS make a new signing key."""

from __future__ import annotations

import argparse

from assayctl.deployment import Deployment
from assayctl.key_function import KeyFunction


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    return commands.add_parser(
        "rotate-key",
        help="have AWS make a new signing key",
        description="A key is made in AWS, seen by nobody, and signs from now on; the one before signs beside it until"
        " the overlap ends, so that no reader has to act at once, and until then no other key is made. Nothing"
        " published is touched: see `assayctl re-sign`.",
    )


def run(_: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    names = KeyFunction(deployment).rotate()
    print(f"{names[0]} signs from now on, five minutes from now everywhere. Readers may trust any of:")
    print("\n".join(names))
    return 0
