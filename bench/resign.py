"""A rotation's aftermath: ``python -m bench.resign [--narinfos N]``.

The real function adds a new key's signature to N narinfos in an AWS in memory, in batches as the Distributed Map makes
them, several at once, while ingest publishes beside it, 1 % of all requests fail and one function in twenty dies. Then
it runs again, and everything is looked at. Exits with a sentence if anything is not as it must be.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Self

from bench import prices
from bench.load.usage import LIST, READ, SECRETS, WRITE
from lambdas.emf import EventLog
from lambdas.ingest.adapters.cache import S3Cache
from lambdas.ingest.adapters.nar_copy import NarCopy
from lambdas.ingest.deadline import Deadline
from lambdas.ingest.ports import PublishedNarInfo
from lambdas.resign.handler import AT_ONCE, handle
from nixcache.compression import Compression
from nixcache.errors import TransientError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.narinfo import NarInfo
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE
from nixcache.verify import verify
from protocol.delivery import FUNCTION_TIMEOUT_SECONDS
from protocol.keys import NARINFO_SUFFIX
from protocol.settings import ResignSettings
from tests.concurrency.deployment import KEY, SimulatedDeployment
from tests.ingest.store_objects import StoreObject, pack, store_path
from tests.nixcache.nar_model import File, nar
from tests.simulator.bucket import ObjectVersion
from tests.simulator.errors import Killed, RefusedError, time_out
from tests.simulator.requests import After, Answer, Before, Request

_NEW_KEY: Final = SecretKey.generate("cache.test-2")
_SETTINGS: Final = ResignSettings(
    cache_bucket="cache",
    ledger_bucket="ledger",
    signing_secret_id="key",  # noqa: S106
    stage="bench",
)
_BATCH: Final = 1000
"""Keys, as in stacks/resigning.py."""
_FUNCTIONS: Final = 4
"""At once. There are twenty in AWS; here they share one interpreter."""
_FAULTS: Final = 0.01
_DEATHS: Final = 0.05
_KINDS: Final = {"GetObject": READ, "PutObject": WRITE, "ListObjectsV2": LIST, "GetSecretValue": SECRETS}
_PAUSE_SECONDS: Final = 0.05
"""Between two of ingest's publications: they share the interpreter with the functions that are measured."""
_TRANSITION: Final = 0.025 / 1000
"""US dollars for a state of a standard execution; general knowledge, not looked up."""
_TABLE: Final = 100_000
"""Narinfos that the table is about, however many were re-signed."""
_TRANSITIONS: Final = 2
"""A batch's: its execution's start, and its one state."""


def main() -> None:
    """Run it, and print what it took."""
    parser = argparse.ArgumentParser(prog="bench.resign", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--narinfos", type=int, default=100_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of the faults (default: another each time)")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"{arguments.narinfos:,} narinfos, seed {seed}", flush=True)
    deployment = SimulatedDeployment()
    with redirect_stdout(io.StringIO()):
        _fill(deployment, arguments.narinfos)
    before = _narinfos(deployment)
    deployment.aws.put_secret("key", _NEW_KEY.reveal())
    with _Ingest(deployment) as ingest:
        first = _run(deployment, random.Random(seed), faults=_FAULTS, deaths=_DEATHS)
    second = _run(deployment, random.Random(seed), faults=0, deaths=0)
    _check(before, _narinfos(deployment), ingest.published)
    if second.requests[WRITE]:
        sys.exit(f"The second run wrote {second.requests[WRITE]} narinfos again.")
    print(f"ingest published {len(ingest.published):,} beside it")
    _print("while AWS fails", first, arguments.narinfos)
    _print("again, nothing to do", second, arguments.narinfos)
    _print_table((first, second), arguments.narinfos)


@dataclass
class _Figures:
    """What a run took; ``repeated`` are batches that came again, ``deaths`` functions that were ended."""

    requests: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    deaths: int = 0
    repeated: int = 0
    batches: int = 0
    log_bytes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def _fill(deployment: SimulatedDeployment, count: int) -> None:
    """Publish ``count`` paths that all have one NAR, as ingest writes them: narinfo, listing and metadata."""
    clients = deployment.connect()
    cache = S3Cache(clients.s3, "cache", NIX_STORE, NarCopy(clients.s3, staging_bucket="staging", cache_bucket="cache"))
    contents = nar(File(b"contents"))
    cache.ensure_cache_info()
    for number in range(count):
        claim = pack(store_path(f"path-{number}"), contents, (), Compression.NONE).narinfo
        verified = verify(claim, [contents])
        publication = PublishedNarInfo(
            verified.narinfo((KEY.sign(verified),)),
            Hash(HashAlgorithm.SHA256, number.to_bytes(32, "big")).nix32,
            is_listed=True,
            warnings=(),
        )
        cache.commit(publication)
        cache.put_listing(claim.store_path.hash_part, verified.listing or b"")


def _narinfos(deployment: SimulatedDeployment) -> dict[str, ObjectVersion]:
    versions = (deployment.cache.current(key) for key in deployment.cache.keys())  # noqa: SIM118 - a bucket is no dict
    return {version.key: version for version in versions if version and version.key.endswith(NARINFO_SUFFIX)}


class _Ingest:
    """Publishes paths, one after the other, as long as the ``with`` block runs."""

    def __init__(self, deployment: SimulatedDeployment) -> None:
        self.published: list[StoreObject] = []
        self._deployment = deployment
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._is_over.wait(_PAUSE_SECONDS):
            number = len(self.published)
            path = store_path(f"beside-{number}")
            thing = pack(path, nar(File(f"contents of {number}".encode())), (), Compression.NONE)
            self._deployment.submit(thing)
            self._deployment.drain()
            self.published.append(thing)


def _run(deployment: SimulatedDeployment, chooser: random.Random, *, faults: float, deaths: float) -> _Figures:
    """Do what the state machine does: list, make batches, and repeat each until it is done."""
    figures = _Figures()
    lock = threading.Lock()
    log = io.StringIO()
    began, cpu_began = time.monotonic(), time.process_time()
    with redirect_stdout(log), ThreadPoolExecutor(_FUNCTIONS) as functions:

        def invoke(keys: Sequence[str]) -> None:
            while True:
                with lock:
                    figures.batches += 1
                    dies_at = chooser.randrange(2 * len(keys)) if chooser.random() < deaths else None
                try:
                    _invoke(deployment, keys, *_hooks(figures, lock, chooser, faults, dies_at))
                except Killed:
                    figures.deaths += 1
                except TransientError:
                    figures.repeated += 1
                else:
                    return

        for _ in functions.map(invoke, _batches(_listed(deployment, figures))):
            pass
    figures.seconds = time.monotonic() - began
    figures.cpu_seconds = time.process_time() - cpu_began
    # Ingest logs here as well.
    figures.log_bytes = sum(len(line) for line in log.getvalue().splitlines() if '"service": "resign"' in line)
    return figures


def _invoke(deployment: SimulatedDeployment, keys: Sequence[str], before: Before, after: After) -> None:
    handle(
        {"BatchInput": {"request": {"mode": "add"}}, "Items": [{"Key": key} for key in keys]},
        _SETTINGS,
        deployment.connect(before=before, after=after),
        Deadline(lambda: float(FUNCTION_TIMEOUT_SECONDS)).begin(),
        EventLog(service="resign", stage="bench"),
    )


def _hooks(
    figures: _Figures, lock: threading.Lock, chooser: random.Random, faults: float, dies_at: int | None
) -> tuple[Before, After]:
    """Count requests, and let some fail: half of them refused, and of the others the answer gets lost."""

    def chance() -> bool:
        with lock:
            hit = chooser.random() < faults / 2
            figures.faults += hit
        return hit

    def before(request: Request) -> None:
        with lock:
            figures.requests[_KINDS[request.operation]] += 1
        if request.number == dies_at:
            raise Killed
        if chance():
            raise RefusedError("SlowDown")

    def after(_request: Request, _answer: Answer | None) -> None:
        if chance():
            raise time_out()

    return before, after


def _listed(deployment: SimulatedDeployment, figures: _Figures) -> Iterator[str]:
    """Yield every key of the cache, as Step Functions lists them."""
    s3, after = deployment.connect().s3, ""
    while True:
        figures.requests[LIST] += 1
        page = s3.list_objects_v2(Bucket="cache", StartAfter=after)
        for item in page.get("Contents", ()):
            after = item["Key"]
            yield after
        if not page["IsTruncated"]:
            return


def _batches(keys: Iterator[str]) -> Iterator[tuple[str, ...]]:
    while batch := tuple(islice(keys, _BATCH)):
        yield batch


def _check(before: dict[str, ObjectVersion], after: dict[str, ObjectVersion], published: Sequence[StoreObject]) -> None:
    """Exit unless every narinfo has both signatures, and nothing else has changed (I3, I6)."""
    ours = {f"{thing.path.hash_part}{NARINFO_SUFFIX}" for thing in published}
    if after.keys() != before.keys() | ours:
        sys.exit("Narinfos came or went.")
    for key, new in after.items():
        narinfo = NarInfo.parse(new.data, NIX_STORE)
        if not narinfo.is_signed_by(_NEW_KEY.public_key):
            sys.exit(f"{key} has no signature by the new key.")
        old = before.get(key)
        if old is None:
            continue
        if [line for line in new.data.splitlines() if not line.startswith(f"Sig: {_NEW_KEY.name}:".encode())] != (
            old.data.splitlines()
        ):
            sys.exit(f"{key} has changed beside its new signature.")
        if (new.headers, new.metadata) != (old.headers, old.metadata):
            sys.exit(f"{key} has lost its metadata.")


def _bill(figures: _Figures) -> tuple[prices.Item, ...]:
    requests = figures.requests
    # A function waits for AWS with all its threads at once.
    waited = prices.REQUEST_SECONDS * (requests[READ] + requests[WRITE]) / AT_ONCE
    return (
        _item("S3 GET", requests[READ], prices.S3_READ),
        _item("S3 PUT", requests[WRITE], prices.S3_WRITE),
        _item("S3 LIST", requests[LIST], prices.S3_WRITE),
        _item("Secrets Manager requests", requests[SECRETS], prices.SECRETS_REQUEST),
        _item("Lambda invocations", figures.batches, prices.LAMBDA_REQUEST),
        _item("Lambda seconds", figures.cpu_seconds + waited, prices.LAMBDA_GB * prices.LAMBDA_GB_SECOND),
        _item("state transitions", figures.batches * _TRANSITIONS, _TRANSITION),
        _item("CloudWatch Logs, GB", figures.log_bytes / prices.GB, prices.LOGS_GB),
    )


def _item(name: str, quantity: float, price: float) -> prices.Item:
    return prices.Item(name=name, quantity=quantity, dollars=quantity * price)


def _print(title: str, figures: _Figures, narinfos: int) -> None:
    print(f"\n{title}: {figures.seconds:.0f} s, {narinfos / figures.seconds:,.0f} narinfos/s")
    print(
        f"  {figures.batches:,} invocations, of which {figures.repeated:,} failed and {figures.deaths:,} died;"
        f" {figures.faults:,} requests failed"
    )
    dollars = prices.total(_bill(figures))
    print(f"  US$ {dollars:.2f} in all, {dollars / narinfos * 1e6:.2f} for a million")


def _print_table(runs: Sequence[_Figures], narinfos: int) -> None:
    """Print the bills of both runs, as Markdown for docs/explanation/cost.md."""
    factor = _TABLE / narinfos
    print(f"\n| {_TABLE:,} narinfos | while AWS fails | US$ | again, nothing to do | US$ |")
    print("|---|---:|---:|---:|---:|")
    bills = [_bill(figures) for figures in runs]
    for items in zip(*bills, strict=True):
        cells = (f"{item.quantity * factor:,.6g} | {item.dollars * factor:.4f}" for item in items)
        print(f"| {items[0].name} | {' | '.join(cells)} |")
    print(f"| **together** |  | {' |  | '.join(f'**{prices.total(bill) * factor:.2f}**' for bill in bills)} |")


if __name__ == "__main__":
    main()
