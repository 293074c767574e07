"""Ours beside the others, on the same bytes, in turns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.cache import Sample
from bench.commands import missing
from bench.contestants import OURS, REFERENCE, Nix, ours, reference, stages
from bench.costs import Cost, Rounds
from bench.table import Table, mebibytes

_MEMORY_TARGET: Final = 128 * 1024 * 1024
_NIX_ROUNDS: Final = 2


def compare(sample: Sample, tree: Path, *, rounds: int, target: float) -> None:
    """Measure ``sample``, which was packed from ``tree``, and print what came out beside the targets.

    ``target`` is how many times as long as the reference ours may take.
    """
    nix = None if missing("nix", "nix-store") else Nix(tree.parent)
    without_reference = missing("zstd", "openssl")
    costs: dict[str, list[Cost]] = defaultdict(list)
    of_stages: list[Mapping[str, float]] = []
    for number in range(rounds):
        costs[OURS].append(ours(sample))
        if not without_reference:
            costs[REFERENCE].append(reference(sample))
        of_stages.append(stages(sample))
        if nix and number < _NIX_ROUNDS:
            for name, cost in nix.costs(sample, tree):
                costs[name].append(cost)
    measured = {name: Rounds(of_one) for name, of_one in costs.items()}
    _print_contestants(sample, measured)
    _print_stages(sample, of_stages)
    _print_targets(measured, target)
    if without_reference:
        print(f"  No reference: {', '.join(without_reference)} missing (Debian: apt-get install zstd openssl)")
    if not nix:
        print("  No Nix: nix or nix-store missing (Debian: apt-get install nix-bin)")
    print()


def _print_contestants(sample: Sample, measured: Mapping[str, Rounds]) -> None:
    reference = measured.get(REFERENCE)
    table = Table("", "best s", "median s", "MB/s", "best ratio", "median ratio", "CPU s", "peak MiB")
    for name, rounds in measured.items():
        table.add(
            name,
            f"{rounds.best:.3f}",
            f"{rounds.median:.3f}",
            f"{sample.size / rounds.best / 1e6:.0f}",
            f"{rounds.best / reference.best:.2f}" if reference else "-",
            f"{rounds.median / reference.median:.2f}" if reference else "-",
            f"{rounds.cpu:.3f}",
            mebibytes(rounds.peak_memory),
        )
    table.print()


def _print_stages(sample: Sample, rounds: Sequence[Mapping[str, float]]) -> None:
    table = Table("ours, one stage after another", "CPU s", "MB/s")
    best = {stage: min(seconds[stage] for seconds in rounds) for stage in rounds[0]}
    for stage, seconds in {**best, "all of them": sum(best.values())}.items():
        table.add(stage, f"{seconds:.3f}", f"{sample.size / seconds / 1e6:.0f}")
    table.print()


def _print_targets(measured: Mapping[str, Rounds], target: float) -> None:
    mine = measured[OURS]
    if reference := measured.get(REFERENCE):
        for which, value in (("best", mine.best / reference.best), ("median", mine.median / reference.median)):
            print(
                f"  {which}: {value:.2f} times the reference; at most {target:.2f} is the target: {_met(value, target)}"
            )
    if (peak := mine.peak_memory) is not None:
        allowed = mebibytes(_MEMORY_TARGET)
        print(f"  memory: {mebibytes(peak)} MiB; target: at most {allowed}: {_met(peak, _MEMORY_TARGET)}")


def _met(value: float, target: float) -> str:
    return "met" if value <= target else "MISSED"
