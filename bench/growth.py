"""How the cost grows with a NAR's size and with its number of files: it should be in step, and memory should not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.cache import Cache, Sample
from bench.contents import Pool
from bench.contestants import ours
from bench.costs import Rounds
from bench.table import Table, mebibytes
from bench.trees import store_path, tree_of_files, tree_of_size

_ROUNDS: Final = 2
_MEGABYTE: Final = 1_000_000


def grow_in_size(directory: Path, pool: Pool, largest: int) -> None:
    """Measure ours on NARs of large files, up to ``largest`` MB."""
    table = Table("MB", "best s", "ms/MB", "MB/s", "CPU s", "peak MiB")
    for megabytes in _up_to(largest, (1, 10, 100, 500, 2000)):
        with TemporaryDirectory(dir=directory) as place:
            tree = tree_of_size(Path(place, "tree"), pool, megabytes * _MEGABYTE)
            sample, rounds = _measured(Path(place, "cache"), tree)
            size = sample.size / _MEGABYTE
            table.add(f"{size:.0f}", *_figures(rounds, rounds.best / size * 1e3, size))
    table.print()


def grow_in_files(directory: Path, pool: Pool, most: int) -> None:
    """Measure ours on NARs of small files, up to ``most`` of them."""
    table = Table("files", "best s", "µs/file", "MB/s", "CPU s", "peak MiB")
    for files in _up_to(most, (1, 10, 100, 1000, 10_000, 100_000)):
        with TemporaryDirectory(dir=directory) as place:
            tree = tree_of_files(Path(place, "tree"), pool, files)
            sample, rounds = _measured(Path(place, "cache"), tree)
            table.add(f"{files}", *_figures(rounds, rounds.best / files * 1e6, sample.size / _MEGABYTE))
    table.print()


def _up_to(largest: int, steps: Iterable[int]) -> Iterator[int]:
    yield from (step for step in steps if step < largest)
    yield largest


def _measured(cache: Path, tree: Path) -> tuple[Sample, Rounds]:
    sample = Cache(cache).add(tree, store_path("growing"))
    return sample, Rounds([ours(sample) for _ in range(_ROUNDS)])


def _figures(rounds: Rounds, each: float, megabytes: float) -> tuple[str, ...]:
    return (
        f"{rounds.best:.3f}",
        f"{each:.2f}",
        f"{megabytes / rounds.best:.0f}",
        f"{rounds.cpu:.3f}",
        mebibytes(rounds.peak_memory),
    )
