"""How much does ingest take, how fast, and what does it cost? ``python -m bench.load`` measures it.

Submissions in the shape of a closure come in any order, from eight builders, some twice, some malicious, while AWS
fails now and then. It fails unless every one of them has the verdict that it must have and the cache is in order. What
is printed below the line is Markdown, for docs/explanation/cost.md.
"""

from __future__ import annotations

import argparse
import os
import platform
from typing import Final

from bench.load.costs import (
    print_bill,
    print_bill_by_size,
    print_bills_by_month,
    print_case_requests,
    print_monthly_bill,
)
from bench.load.figures import print_figures
from bench.load.plan import make_plan
from bench.load.run import run
from bench.load.single import LARGE, LEAF, measure_cases

_FAULT_RATE: Final = 0.01
_VISIBILITY_TIMEOUT: Final = 30
"""Seconds: longer than an invocation hardly ever takes, and short enough to wait for."""


def main() -> None:
    """Measure single submissions, then all together."""
    parser = argparse.ArgumentParser(prog="bench.load", description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--processes", type=int, default=4, help="functions at once (default: %(default)s)")
    options = parser.parse_args()
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs; load {load} (what else runs spoils figures)\n")

    cases = {case.name: case for case in measure_cases()}
    plan = make_plan(options.submissions)
    print(
        f"{options.submissions} submissions of {plan.store_paths} store paths, {options.processes} functions at once\n"
    )
    outcome = run(plan, processes=options.processes, fault_rate=_FAULT_RATE, visibility_timeout=_VISIBILITY_TIMEOUT)
    print("Every verdict is the one that is due; the cache is whole, signed and closed; no message is left.\n")
    print_figures(outcome)

    print("----\n")
    print_case_requests(tuple(cases.values()))
    print_bill(outcome, cases[LEAF])
    print_bill_by_size(cases[LEAF], cases[LARGE])
    print_monthly_bill()
    print_bills_by_month(cases[LEAF], cases[LARGE])


if __name__ == "__main__":
    main()
