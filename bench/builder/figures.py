"""What came out, beside the targets."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.builder.loads import Load
from bench.builder.requests import Requests
from bench.table import Table, mebibytes

CONTROL: Final = "no hook"
EMPTY: Final = "empty hook"
OURS: Final = "ours"
DAEMON: Final = "ours: hook, daemon beside"
ONCE: Final = "ours: hook, upload --once after"
AS_HOOK: Final = "hook: "
AFTER: Final = "after: "

ADDED_TARGET: Final = 0.02
MANY_TARGET: Final = 1.5
LARGE_TARGET: Final = 1.0
MEMORY_TARGET: Final = 200 * 1024 * 1024
HOOK_TARGET: Final = 0.020


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contestant, once. Seconds; ``None`` is what it does not have, or what did not come in time.

    ``build`` is the build with its hook; ``staged`` runs from the build's begin, or, where all is uploaded after the
    build, from that upload's. ``cpu`` is of build and upload together, ``peak_memory`` (bytes) is the largest process's
    of the upload, or of the build where its hook uploads. ``stored`` is how many bytes the NARs' files have.
    """

    build: float | None
    staged: float | None
    requests: Requests | None
    cpu: float
    peak_memory: int | None
    stored: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """A contestant's runs of one load with one generation of Nix."""

    name: str
    nix: str
    runs: Sequence[Run]

    @property
    def build(self) -> float | None:
        """The median."""
        return _median(run.build for run in self.runs)

    @property
    def staged(self) -> float | None:
        """The median."""
        return _median(run.staged for run in self.runs)

    @property
    def cpu(self) -> float:
        """The median."""
        return statistics.median(run.cpu for run in self.runs)

    @property
    def peak_memory(self) -> int | None:
        """The highest."""
        return max((run.peak_memory for run in self.runs if run.peak_memory is not None), default=None)


def print_hooks(hooks: Iterable[tuple[str, str, float]]) -> None:
    """Print hook, Nix and the seconds of one run of it."""
    print("One run of a hook, on its own")
    table = Table("", "Nix", "median ms")
    slowest = 0.0
    for name, version, seconds in hooks:
        table.add(name, version, f"{seconds * 1000:.1f}")
        if name == OURS:
            slowest = max(slowest, seconds)
    table.print()
    print_ratio("ours, slowest generation, ms", slowest * 1000, HOOK_TARGET * 1000, at_most=True)
    print()


def print_comparison(load: Load, measured: Sequence[Measured]) -> None:
    """Print everything of one load, and the targets."""
    rounds = f", median of {load.rounds}" if load.rounds > 1 else ""
    print(f"Load: {load.name}{rounds}")
    controls = {one.nix: one for one in measured if one.name == CONTROL}
    _print_runs(measured, controls)
    by_name = {(one.name, one.nix): one for one in measured}
    for (name, nix), peer in by_name.items():
        daemon = by_name[DAEMON, nix]
        if name.startswith(AS_HOOK):
            mine, others = _added(daemon, controls.get(nix)), _added(peer, controls.get(nix))
            # What lies below the noise of the builds is no time that a peer added.
            share = max(mine, 0) / others if mine is not None and others is not None and others > 0 else None
            print_ratio(f"Nix {nix}, time added, part of {name}", share, ADDED_TARGET, at_most=True)
            if once := by_name.get((ONCE, nix)):
                _print_stored(load, once, peer)
        elif name.startswith(AFTER) and (once := by_name.get((ONCE, nix))):
            _print_staged(load, once, peer)
    newest = [one for one in measured if one.name in {DAEMON, ONCE}]
    peak = max((one.peak_memory for one in newest if one.peak_memory is not None), default=None)
    print_ratio("memory of ours, MiB", None if peak is None else peak / 2**20, MEMORY_TARGET / 2**20, at_most=True)
    print(flush=True)


def _print_staged(load: Load, once: Measured, peer: Measured) -> None:
    faster = peer.staged / once.staged if peer.staged and once.staged else None
    target = MANY_TARGET if load.many else LARGE_TARGET
    print_ratio(f"staged, times as fast as {peer.name}", faster, target, at_most=False)
    _print_stored(load, once, peer)


def _print_stored(load: Load, once: Measured, peer: Measured) -> None:
    mine, others = once.runs[-1].stored, peer.runs[-1].stored
    if not load.many and mine and others:
        print_ratio(f"stored bytes, part of those of {peer.name}", mine / others, 1, at_most=True)


def _print_runs(measured: Sequence[Measured], controls: Mapping[str, Measured]) -> None:
    """Print a row for each; ``controls`` are the builds without a hook, by generation."""
    table = Table("", "Nix", "build s", "added s", "staged s", "GET", "PUT", "parts", "MB stored", "CPU s", "peak MiB")
    for one in measured:
        last = one.runs[-1]
        control = controls.get(one.nix)
        requests = last.requests
        table.add(
            one.name,
            one.nix,
            _seconds(one.build),
            _seconds(_added(one, control)),
            _seconds(one.staged),
            *((str(requests.reads), str(requests.writes), str(requests.parts)) if requests else ("-", "-", "-")),
            "-" if last.stored is None else f"{last.stored / 1e6:.1f}",
            f"{one.cpu:.2f}",
            mebibytes(one.peak_memory),
        )
    table.print()


def _added(one: Measured, control: Measured | None) -> float | None:
    """Return the seconds that the hook added to the build."""
    if control is None or one is control or one.build is None or control.build is None:
        return None
    return one.build - control.build


def print_ratio(what: str, value: float | None, target: float, *, at_most: bool) -> None:
    """Print a figure beside its target."""
    if value is None:
        print(f"  {what}: not measured")
        return
    met = value <= target if at_most else value >= target
    print(
        f"  {what}: {value:.3g}; target: at {'most' if at_most else 'least'} {target:g}: {'met' if met else 'MISSED'}"
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
