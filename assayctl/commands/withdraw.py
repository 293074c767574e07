"""``assayctl withdraw``: take published paths, and what references them, out of the cache, and keep them out."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from assayctl.commands.arguments import builder_name, hash_part, moment
from assayctl.delivery import invalidate
from assayctl.deployment import Deployment
from assayctl.errors import invalid
from assayctl.provenance import publications
from assayctl.published import Published
from assayctl.withdrawal import Withdrawal, plan, plan_again
from assayctl.withdrawn import WithdrawnList
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE, HashPart
from protocol.keys import CacheListingKey, CacheNarInfoKey
from protocol.outputs import Output
from protocol.withdrawn import SETTLED, Withdrawn

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AGAIN: Final = (
    f"Run `assayctl withdraw --again --yes` in {SETTLED.seconds // 60} minutes: until then, ingest may publish by what"
    " it knew before."
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "withdraw",
        help="take published paths, and what references them, out of the cache",
        description="Withdraws paths, or all that a builder vouched for since a moment, with everything that references"
        " them: else the cache would offer what cannot be installed. The paths themselves are refused from then on,"
        " with the NarHash that they had; a right build of them is welcome. Shows what it would do; --yes does it."
        " `assayctl restore` undoes it for 30 days. Readers who installed a path keep it.",
    )
    parser.add_argument("paths", nargs="*", type=hash_part, metavar="PATH", help="a store path, base name or hash part")
    parser.add_argument("--builder", type=builder_name, help="what this builder published or voted for")
    parser.add_argument("--since", type=moment, help="and only what was published from this moment on")
    parser.add_argument(
        "--again", action="store_true", help="what came back meanwhile, of all that was withdrawn, and nothing else"
    )
    parser.add_argument("--yes", action="store_true", help="do it")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """Do it; raises PermanentError and TransientError."""
    ways = [bool(arguments.paths), arguments.builder is not None, arguments.again]
    if sum(ways) != 1 or (arguments.since and not arguments.builder):
        raise invalid("What to withdraw is not clear.", "Give paths, or --builder and perhaps --since, or --again.")
    s3 = deployment.session.client("s3")
    published = Published(s3, deployment.output(Output.CACHE_BUCKET), NIX_STORE)
    withdrawn_list = WithdrawnList(s3, deployment.output(Output.LEDGER_BUCKET))
    withdrawn = withdrawn_list.read()
    narinfos = _narinfos(published)
    if arguments.again:
        withdrawal = plan_again(withdrawn, narinfos, datetime.now(UTC))
    else:
        withdrawal = plan(_wanted(arguments, s3, deployment), narinfos, withdrawn, published)
    for hash_part_ in withdrawal.doomed:
        print(_line(hash_part_, narinfos[hash_part_], withdrawal, withdrawn))
    for hash_part_ in withdrawal.gone:
        print(f"withdrawn already: {hash_part_}")
    for hash_part_ in withdrawal.unknown:
        print(f"not published: {hash_part_}")
    if not withdrawal.is_standing and not arguments.yes:
        print(f"{len(withdrawal.doomed)} would be withdrawn. --yes does it.")
        return 1
    if withdrawal.wanted and arguments.yes:
        _withdraw(deployment, published, withdrawn_list, withdrawal)
    elif not withdrawal.wanted:
        print("There is nothing to withdraw.")
    return 0 if withdrawal.doomed or withdrawal.gone or arguments.again else 1


def _wanted(arguments: argparse.Namespace, s3: S3Client, deployment: Deployment) -> tuple[HashPart, ...]:
    if arguments.paths:
        return tuple(dict.fromkeys(arguments.paths))
    return tuple(
        publication.hash_part
        for publication in publications(s3, deployment.output(Output.LEDGER_BUCKET))
        if str(arguments.builder) in publication.builders
        and (arguments.since is None or publication.at >= arguments.since)
    )


def _withdraw(
    deployment: Deployment, published: Published, withdrawn_list: WithdrawnList, withdrawal: Withdrawal
) -> None:
    at = datetime.now(UTC)
    # Before the first is deleted: from then on a submission would bring it back.
    withdrawn = withdrawn_list.change(lambda before: withdrawal.added_to(before, at))
    try:
        published.withdraw(withdrawal.doomed)
    finally:
        # Whatever has failed, now or in an earlier run: what is not in the bucket any more, the CDN must not serve.
        traces = [entry.hash_part for entry in withdrawn.entries if entry.nar_hash is None]
        invalidate(
            deployment,
            [
                str(key)
                for hash_part_ in dict.fromkeys((*withdrawal.wanted, *withdrawal.doomed, *traces))
                for key in (CacheNarInfoKey(hash_part_), CacheListingKey(hash_part_))
            ],
        )
    print(f"{len(withdrawal.doomed)} withdrawn.")
    if withdrawal.doomed or withdrawal.gone:
        print(_AGAIN)


def _narinfos(published: Published) -> dict[HashPart, NarInfo | None]:
    hash_parts, strays = published.hash_parts()
    for stray in strays:
        print(f"assayctl: skipped {stray!r}: no narinfo has such a key", file=sys.stderr)
    narinfos = published.narinfos(hash_parts)
    for hash_part_ in (hash_part_ for hash_part_, narinfo in narinfos.items() if narinfo is None):
        print(
            f"assayctl: {CacheNarInfoKey(hash_part_)} is malformed, and what it references is not known: withdraw it",
            file=sys.stderr,
        )
    return narinfos


def _line(hash_part_: HashPart, narinfo: NarInfo | None, withdrawal: Withdrawal, withdrawn: Withdrawn) -> str:
    if narinfo is None:
        return f"malformed: {hash_part_}"
    name = narinfo.store_path.base_name
    if hash_part_ not in withdrawal.wanted:
        return f"references it: {name}"
    if withdrawn.refused(hash_part_) and not withdrawn.refuses(hash_part_, narinfo.nar_hash):
        # Whoever repeats a command from his history may take out the right build that came in its place.
        return f"published anew, with another NarHash than the one withdrawn: {name}"
    return name
