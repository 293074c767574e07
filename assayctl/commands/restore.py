"""``assayctl restore``: put withdrawn paths back."""

from __future__ import annotations

import argparse

from assayctl.commands.arguments import hash_part
from assayctl.deployment import Deployment
from assayctl.published import Deletion, Published
from assayctl.restoration import plan
from assayctl.waiters import Waiters
from assayctl.withdrawn import WithdrawnList
from nixcache.store_path import NIX_STORE, HashPart
from protocol.outputs import Output


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "restore",
        help="put withdrawn paths back",
        description="Takes the newest withdrawal of each path back, references first, and has submissions judged again"
        " that wait for it; ingest does not refuse it any more. What references a path that stays withdrawn is left"
        " out.",
    )
    parser.add_argument("paths", nargs="+", type=hash_part, metavar="PATH", help="a store path, base name or hash part")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    s3 = deployment.session.client("s3")
    published = Published(s3, deployment.output(Output.CACHE_BUCKET), NIX_STORE)
    withdrawn_list = WithdrawnList(s3, deployment.output(Output.LEDGER_BUCKET))
    waiters = Waiters(
        s3,
        deployment.session.client("sqs"),
        ledger_bucket=deployment.output(Output.LEDGER_BUCKET),
        queue_url=deployment.output(Output.INGEST_QUEUE_URL),
    )
    paths = list(dict.fromkeys(arguments.paths))
    deletions: dict[HashPart, Deletion] = {}
    for path in paths:
        deletion = published.deletion(path)
        if deletion is None:
            print(f"not withdrawn {path}")
        else:
            deletions[path] = deletion
    restoration = plan(deletions, lambda other: published.deletion(other) is not None)
    for path, reference in restoration.left_out.items():
        print(f"left out {path}: it references {reference.base_name}, which is withdrawn; restore both")
    for deletion in restoration.deletions:
        # The list first: after a crash in between, the same command ends it. The other way round it would find nothing
        # to restore, and the next withdrawal would take the path out again for what the list says of it.
        withdrawn_list.readmit(deletion.hash_part, deletion.nar_hash)
        published.restore(deletion)
    print(f"{len(restoration.deletions)} restored.")
    # Also of what is there already: an earlier run may have ended before it came to this.
    woken = sum(waiters.wake(path) for path in paths if path not in restoration.left_out)
    if woken:
        print(f"{woken} submissions that waited are judged again.")
    return 0 if len(restoration.deletions) == len(paths) else 1
