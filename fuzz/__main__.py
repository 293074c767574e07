"""``python -m fuzz TARGET… | all --seconds N``: fuzz for so long, two targets at a time, and say what came of it.

An input that breaks a contract stays as ``fuzz/corpus/<target>/crash-…``: commit it, and every test run replays it.
Exit status 0: nothing was found; 1: something was; 2: usage.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fuzz.corpus import FOUND, SEEDS
from fuzz.targets import TARGETS

_AT_ONCE = 2
_LEAST_SECONDS = 5
_NICENESS = 10
_MEMORY_MEGABYTES = 256
"""A reader of a builder's bytes, with Python, atheris and the oracles, stays below."""
_SECONDS_AN_INPUT = 10
"""Inputs are small: one that takes a hundredth of this is slow. The rest is for machines that are busy elsewhere."""
_FINDINGS = ("crash", "timeout", "oom")


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run of libFuzzer said; edges are of the instrumented code, ``new`` inputs reached some of it first."""

    target: str
    executions: int
    edges: int
    new: int
    slowest: int
    memory: int
    findings: tuple[Path, ...]
    failed: bool


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="+", choices=(*TARGETS, "all"), metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for all of them together (default: %(default)s)")
    options = parser.parse_args()
    names = list(TARGETS) if "all" in options.targets else list(dict.fromkeys(options.targets))
    at_once = min(_AT_ONCE, len(names), os.cpu_count() or 1)
    seconds = max(_LEAST_SECONDS, options.seconds * at_once // len(names))
    print(f"{'target':24}{'executions':>12}{'edges':>8}{'new':>6}{'slowest':>9}{'memory':>9}  findings", flush=True)
    with ThreadPoolExecutor(at_once) as pool:
        runs = list(pool.map(lambda name: _show(_fuzz(name, seconds)), names))
    return 1 if any(run.failed for run in runs) else 0


def _fuzz(name: str, seconds: int) -> _Run:
    seeds, found = SEEDS / name, FOUND / name / "found"
    found.mkdir(parents=True, exist_ok=True)
    known = set(seeds.iterdir())
    log = FOUND / name / "log"
    arguments = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={_MEMORY_MEGABYTES}",
        f"-timeout={_SECONDS_AN_INPUT}",
        f"-artifact_prefix={seeds}/",
        "-print_final_stats=1",
    ]
    with log.open("wb") as output:
        # The first directory takes what is found, the others are only read.
        status = subprocess.run(
            ["nice", f"-n{_NICENESS}", sys.executable, "-m", "fuzz.engine", name, *arguments, str(found), str(seeds)],
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    text = log.read_text("utf-8", "replace")
    findings = tuple(sorted(path for path in set(seeds.iterdir()) - known if path.name.startswith(_FINDINGS)))
    return _Run(
        target=name,
        executions=_number(r"stat::number_of_executed_units: +(\d+)", text),
        edges=_number(r"cov: (\d+)", text),
        new=_number(r"stat::new_units_added: +(\d+)", text),
        slowest=_number(r"stat::slowest_unit_time_sec: +(\d+)", text),
        memory=_number(r"stat::peak_rss_mb: +(\d+)", text),
        findings=findings,
        failed=status != 0 or bool(findings),
    )


def _number(pattern: str, text: str) -> int:
    """Return what ``pattern`` finds last, 0 if nothing: libFuzzer says little when it has found something."""
    return int((re.findall(pattern, text) or ["0"])[-1])


def _show(run: _Run) -> _Run:
    numbers = f"{run.executions:>12,}{run.edges:>8}{run.new:>6}{run.slowest:>7} s{run.memory:>6} MB"
    findings = ", ".join(str(path.relative_to(SEEDS.parent.parent)) for path in run.findings) or (
        "see the log" if run.failed else "none"
    )
    print(f"{run.target:24}{numbers}  {findings}", flush=True)
    if run.failed:
        tail = (FOUND / run.target / "log").read_text("utf-8", "replace").splitlines()[-30:]
        print("\n".join(f"    {line}" for line in tail), flush=True)
    return run


if __name__ == "__main__":
    sys.exit(main())
