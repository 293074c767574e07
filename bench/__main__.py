"""How fast is the proof? ``python -m bench`` measures it beside the fastest tools there are, and beside Nix.

The ratios are what two machines can be compared by: everything in a table was measured in turns, in one run, on the
same bytes. No figure makes it fail. It takes about three minutes and 4 GB of the temporary directory.
"""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.cache import Cache
from bench.comparison import compare
from bench.contents import dense_files, large_files, small_files
from bench.growth import grow_in_files, grow_in_size
from bench.trees import store_path, tree_of_files, tree_of_size
from bench.xz import compare_xz

_MEGABYTE: Final = 1_000_000


def main() -> None:
    """Measure two NARs beside others, then what makes them grow, then xz."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=512, help="of large files (default: %(default)s)")
    parser.add_argument("--files", type=int, default=50_000, help="small ones (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of ours and the reference (default: %(default)s)")
    parser.add_argument("--up-to-megabytes", type=int, default=2000, help="large files' growth (default: %(default)s)")
    parser.add_argument("--up-to-files", type=int, default=100_000, help="small files' growth (default: %(default)s)")
    parser.add_argument("--xz-megabytes", type=int, default=32, help="of large files in xz (default: %(default)s)")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="assay-bench-") as name:
        _measure(Path(name), options)


def _measure(directory: Path, options: argparse.Namespace) -> None:
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs; load {load} (what else runs spoils figures)\n")
    large = large_files(directory / "large")
    small = small_files(directory / "small")
    cache = Cache(directory / "cache")

    tree = tree_of_size(directory / "large-tree", large, options.megabytes * _MEGABYTE)
    _compare(cache, "large", tree, rounds=options.rounds, target=1.25)
    tree = tree_of_files(directory / "small-tree", small, options.files)
    _compare(cache, "small", tree, rounds=options.rounds, target=2)

    print("Growth with the size of large files, ours")
    grow_in_size(directory, large, options.up_to_megabytes)
    print("Growth with the number of small files, ours")
    grow_in_files(directory, small, options.up_to_files)

    print("xz, large files")
    compare_xz(cache, tree_of_size(directory / "xz-tree", large, options.xz_megabytes * _MEGABYTE))
    print("xz, what is slowest to read: bytes that it can hardly compress")
    compare_xz(cache, tree_of_size(directory / "dense-tree", dense_files(directory / "dense"), 1))


def _compare(cache: Cache, name: str, tree: Path, *, rounds: int, target: float) -> None:
    sample = cache.add(tree, store_path(name))
    files = sum(len(files) for _, _, files in os.walk(tree))
    file_size = sample.file.stat().st_size
    print(
        f"A NAR of {name} files: {files} of them, {sample.size / _MEGABYTE:.0f} MB,"
        f" {file_size / _MEGABYTE:.0f} MB in zstd at the uploader's level"
    )
    compare(sample, tree, rounds=rounds, target=target)


if __name__ == "__main__":
    main()
