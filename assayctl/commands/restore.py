"""``assayctl restore``: put withdrawn paths back."""

from __future__ import annotations

import argparse

from assayctl.commands.arguments import hash_part
from assayctl.deployment import Deployment
from assayctl.published import Published
from assayctl.withdrawn import WithdrawnList
from nixcache.store_path import NIX_STORE
from protocol.outputs import Output


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "restore",
        help="put withdrawn paths back",
        description="Takes the newest withdrawal of each path back; ingest does not refuse it any more. Give references"
        " before what references them.",
    )
    parser.add_argument("paths", nargs="+", type=hash_part, metavar="PATH", help="a store path, base name or hash part")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    s3 = deployment.session.client("s3")
    published = Published(s3, deployment.output(Output.CACHE_BUCKET), NIX_STORE)
    withdrawn_list = WithdrawnList(s3, deployment.output(Output.LEDGER_BUCKET))
    restored = 0
    for path in arguments.paths:
        deletion = published.deletion(path)
        if deletion is None:
            print(f"not withdrawn {path}")
            continue
        # The list first: after a crash in between, the same command ends it. The other way round it would find nothing
        # to restore, and the next withdrawal would take the path out again for what the list says of it.
        withdrawn_list.readmit(deletion.hash_part, deletion.nar_hash)
        published.restore(deletion)
        restored += 1
    print(f"{restored} restored.")
    return 0 if restored == len(arguments.paths) else 1
