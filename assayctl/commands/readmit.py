"""``assayctl readmit``: let what was withdrawn be submitted again."""

from __future__ import annotations

import argparse

from assayctl.commands.arguments import hash_part
from assayctl.deployment import Deployment
from assayctl.withdrawn import WithdrawnList
from protocol.outputs import Output


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "readmit",
        help="let what was withdrawn be submitted again",
        description="Takes paths from the list of what is withdrawn, with every NarHash that they had: builders may"
        " submit them again. It publishes nothing itself: see `assayctl restore`.",
    )
    parser.add_argument("paths", nargs="+", type=hash_part, metavar="PATH", help="a store path, base name or hash part")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    withdrawn_list = WithdrawnList(deployment.session.client("s3"), deployment.output(Output.LEDGER_BUCKET))
    paths = dict.fromkeys(arguments.paths)
    before = withdrawn_list.read()
    withdrawn_list.change(lambda withdrawn: withdrawn.without(paths))
    missing = [path for path in paths if not before.refused(path)]
    for path in missing:
        print(f"not withdrawn {path}")
    print(f"{len(paths) - len(missing)} readmitted. Ingest knows it within five minutes.")
    return 1 if missing else 0
