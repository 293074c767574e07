"""What xz costs to check, and how large a NAR in xz may therefore be."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.cache import Cache
from bench.commands import missing, run
from bench.contestants import ours
from bench.costs import Rounds
from bench.table import Table, mebibytes
from bench.trees import store_path
from lambdas.ingest.deadline import TO_FINISH_SECONDS
from nixcache.compression import Compression
from protocol.delivery import FUNCTION_TIMEOUT_SECONDS

_ROUNDS: Final = 3
_MEGABYTE: Final = 1_000_000
_SECONDS: Final = FUNCTION_TIMEOUT_SECONDS - TO_FINISH_SECONDS


def compare_xz(cache: Cache, tree: Path) -> None:
    """Measure ``tree`` in xz, by ours and by xz itself, and print what fits into a Lambda's time."""
    sample = cache.add(tree, store_path("xz"), compression=Compression.XZ)
    measured = {"ours, everything": Rounds([ours(sample) for _ in range(_ROUNDS)])}
    if not missing("xz"):
        measured["xz -dc"] = Rounds([run(("xz", "-dcq", sample.file))[0] for _ in range(_ROUNDS)])
    table = Table("", "best s", "median s", "MB/s", "CPU s", "peak MiB")
    for name, rounds in measured.items():
        table.add(
            name,
            f"{rounds.best:.3f}",
            f"{rounds.median:.3f}",
            f"{sample.size / rounds.best / _MEGABYTE:.0f}",
            f"{rounds.cpu:.3f}",
            mebibytes(rounds.peak_memory),
        )
    table.print()
    # By CPU seconds: a Lambda's memory buys it a share of CPU time, however many threads there are.
    enough_for = sample.size / measured["ours, everything"].cpu * _SECONDS
    print(f"  In {_SECONDS} s, a Lambda's for one submission, one such CPU checks {enough_for / 1e9:.0f} GB of these")
    if "xz -dc" not in measured:
        print("  No xz -dc: xz missing (Debian: apt-get install xz-utils)")
    print()
