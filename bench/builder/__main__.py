"""Ours beside Nix's own ways to fill a cache: ``python -m bench.builder``.

A hook makes every build wait, so the first question is how long; the second, when everything is in S3. No figure makes
it fail. At full size it takes more than an hour, most of it xz, and 6 GB of the temporary directory.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.builder import loads
from bench.builder.comparison import Bench, let_everybody_in, until_published
from bench.builder.figures import print_comparison, print_hooks
from bench.builder.loads import Load
from bench.builder.ours import ALICE
from local.service import LocalService
from nixcache.store_path import StoreDir
from tests.differential.nix_generations import Generation, available


def main() -> None:
    """Measure each load by every contestant, then what a run of each hook takes, then ours up to the verdict."""
    parser = argparse.ArgumentParser(prog="bench.builder", description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=_positive, default=200, help="tiny paths (default: %(default)s)")
    parser.add_argument("--many", type=_positive, default=2000, help="tiny paths (default: %(default)s)")
    parser.add_argument("--megabytes", type=_positive, default=512, help="of one large path (default: %(default)s)")
    parser.add_argument("--files", type=_positive, default=50_000, help="of one path (default: %(default)s)")
    parser.add_argument("--rounds", type=_positive, default=3, help="of the small loads (default: %(default)s)")
    options = parser.parse_args()
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs; load {load} (what else runs spoils figures)\n")
    generations = available()
    if not generations:
        print("No Nix: `python -m tests.differential.nix_generations` fetches three (Debian, as root).")
        return
    print(f"Nix {', '.join(map(str, generations))}\n")
    with TemporaryDirectory(prefix="assay-bench-") as name:
        _measure(Path(name).resolve(), generations, options)


def _positive(text: str) -> int:
    """Read a number of things to measure: of none there is no median."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _measure(directory: Path, generations: Sequence[Generation], options: argparse.Namespace) -> None:
    few = loads.tiny(options.few, rounds=options.rounds)
    many = loads.tiny(options.many, rounds=1)
    everything: list[Load] = [
        loads.tiny(1, rounds=options.rounds),
        few,
        many,
        loads.large(directory, options.megabytes),
        loads.files(directory, options.files),
    ]
    with _service(directory, "asleep", functions=0) as (service, log):
        let_everybody_in(service.aws)
        bench = Bench(service, log, directory, generations)
        print_hooks(bench.hook_seconds(few))
        for load in everything:
            print_comparison(load, bench.compare(load))
    print("From the build's begin until the cache has everything, two functions verifying on the same CPUs")
    for load in everything:
        with _service(directory, load.file_name, functions=2) as (service, log):
            seconds = until_published(service, log, directory, generations[-1], load)
        print(f"  {load.name}: {'not in time' if seconds is None else f'{seconds:.1f} s'}", flush=True)


@contextmanager
def _service(directory: Path, name: str, *, functions: int) -> Iterator[tuple[LocalService, Path]]:
    """Start a service whose server writes its requests into the second."""
    requests = directory / f"{name}.requests"
    requests.touch()
    with (directory / f"{name}.log").open("w") as log:
        store_dir = StoreDir(f"{directory}/machine/nix/store")
        service = LocalService(store_dir=store_dir, builders=(ALICE,), concurrency=functions, log=log)
        service.moto_process = ("bench.builder.counting_moto", str(requests))
        with service:
            yield service, requests


if __name__ == "__main__":
    main()
