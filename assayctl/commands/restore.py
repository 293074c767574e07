"""``assayctl restore``: put withdrawn paths back."""

from __future__ import annotations

import argparse

from assayctl.commands.arguments import hash_part
from assayctl.deployment import Deployment
from assayctl.published import Published
from nixcache.store_path import NIX_STORE
from protocol.outputs import Output


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "restore",
        help="put withdrawn paths back",
        description="Takes the newest withdrawal of each path back. Give references before what references them.",
    )
    parser.add_argument("paths", nargs="+", type=hash_part, metavar="PATH", help="a store path, base name or hash part")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    published = Published(deployment.session.client("s3"), deployment.output(Output.CACHE_BUCKET), NIX_STORE)
    missing = [path for path in arguments.paths if not published.restore(path)]
    for path in missing:
        print(f"not withdrawn {path}")
    print(f"{len(arguments.paths) - len(missing)} restored.")
    return 1 if missing else 0
