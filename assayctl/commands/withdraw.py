"""``assayctl withdraw``: take published paths, and what references them, out of the cache."""

from __future__ import annotations

import argparse

from assayctl.commands.arguments import builder_name, hash_part, moment
from assayctl.delivery import invalidate
from assayctl.deployment import Deployment
from assayctl.errors import invalid
from assayctl.provenance import publications
from assayctl.published import Published, with_referrers
from nixcache.store_path import NIX_STORE
from protocol.keys import CacheNarInfoKey
from protocol.outputs import Output


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "withdraw",
        help="take published paths, and what references them, out of the cache",
        description="Withdraws paths, or all that a builder vouched for since a moment, with everything that references"
        " them: else the cache would offer what cannot be installed. Shows what it would do; --yes does it."
        " `assayctl restore` undoes it for 30 days. Readers who installed a path keep it.",
    )
    parser.add_argument("paths", nargs="*", type=hash_part, metavar="PATH", help="a store path, base name or hash part")
    parser.add_argument("--builder", type=builder_name, help="what this builder published or voted for")
    parser.add_argument("--since", type=moment, help="and only what was published from this moment on")
    parser.add_argument("--yes", action="store_true", help="do it")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    if bool(arguments.paths) == bool(arguments.builder) or (arguments.since and not arguments.builder):
        raise invalid("What to withdraw is not clear.", "Give paths, or --builder and perhaps --since.")
    s3 = deployment.session.client("s3")
    published = Published(s3, deployment.output(Output.CACHE_BUCKET), NIX_STORE)
    wanted = arguments.paths or [
        publication.hash_part
        for publication in publications(s3, deployment.output(Output.LEDGER_BUCKET))
        if str(arguments.builder) in publication.builders
        and (arguments.since is None or publication.at >= arguments.since)
    ]
    narinfos = published.narinfos(published.hash_parts())
    doomed = [hash_part for hash_part in with_referrers(wanted, narinfos) if hash_part in narinfos]
    for hash_part_ in doomed:
        print(f"{'' if hash_part_ in wanted else 'references it: '}{narinfos[hash_part_].store_path.base_name}")
    for missing in [hash_part_ for hash_part_ in wanted if hash_part_ not in narinfos]:
        print(f"not published: {missing}")
    if not doomed:
        return 1
    if not arguments.yes:
        print(f"{len(doomed)} would be withdrawn. --yes does it.")
        return 1
    published.withdraw(doomed)
    invalidate(deployment, [str(CacheNarInfoKey(hash_part_)) for hash_part_ in doomed])
    print(f"{len(doomed)} withdrawn.")
    return 0
