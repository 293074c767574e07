"""``assayctl announce-keys``: tell readers which keys there are, now and not within the hour."""

from __future__ import annotations

import argparse

from assayctl.deployment import Deployment
from assayctl.key_function import KeyFunction


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    return commands.add_parser(
        "announce-keys",
        help="tell readers which keys to trust; make the first key if there is none",
        description="Writes public-keys and public-keys.json into the cache, which otherwise happens every hour and"
        " after each deployment. A secret without a key gets its first.",
    )


def run(_: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    names = KeyFunction(deployment).announce()
    print("\n".join(names) or "There is no key: the secret holds something else.")
    return 0 if names else 1
