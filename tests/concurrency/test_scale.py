"""I4, I6: long chains and crowds of waiters end published, with a bounded number of deliveries and requests."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from lambdas.ingest import waiting
from lambdas.ingest.adapters.queue import MAX_BATCH
from protocol.keys import WAITING_PREFIX
from protocol.verdicts import Kind
from tests.concurrency.checker import Checker
from tests.concurrency.deployment import ALICE, BUILDERS, SimulatedDeployment
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import StoreObject, store_path
from tests.simulator.requests import Request


class Counted:
    """A deployment whose ingest's requests are counted."""

    def __init__(self) -> None:
        self.deployment = SimulatedDeployment()
        self.requests: Counter[str] = Counter()

    def drain(self) -> None:
        """Deliver until the queue is empty."""
        container = self.deployment.container(self.deployment.connect(before=self._count))
        self.deployment.drain(lambda: container, most=100_000)

    def verdicts(self) -> Counter[Kind]:
        """Return how many results there are of each verdict."""
        return Counter(result.verdict.kind for result in self.deployment.results())

    def _count(self, request: Request) -> None:
        self.requests[request.operation] += 1


def test_a_chain_of_500_that_arrives_backwards(objects: Objects) -> None:
    chain: list[StoreObject] = []
    for number in range(500):
        chain.append(objects.build(f"link-{number}", chain[-1:]))
    counted = Counted()
    for thing in reversed(chain):
        counted.deployment.submit(thing)
    counted.drain()
    assert counted.verdicts() == {Kind.PUBLISHED: 500}
    assert counted.deployment.deliveries == 500 + 499, "each is judged when it comes, and once when it is woken"
    assert counted.deployment.ledger.keys(WAITING_PREFIX) == []
    Checker(counted.deployment)()


@pytest.mark.timeout(300)
def test_a_path_that_thousands_wait_for(objects: Objects, waiters: int) -> None:
    """No stampede: whoever publishes lists and wakes them page by page, and each is judged once more."""
    leaf = objects.build("leaf")
    template = objects.build("top", [leaf])
    counted = Counted()
    for number in range(waiters):
        counted.deployment.submit(template.claiming(store_path=store_path(f"top-{number}")))
    counted.drain()
    assert counted.verdicts() == {Kind.WAITING: waiters}
    counted.requests.clear()
    before = counted.deployment.deliveries
    counted.deployment.submit(leaf)
    counted.drain()
    assert counted.verdicts() == {Kind.PUBLISHED: waiters + 1}
    assert counted.deployment.deliveries - before == waiters + 1
    pages = [min(1000, waiters - first) for first in range(0, waiters, 1000)]
    assert counted.requests["ListObjectsV2"] == len(pages)
    assert counted.requests["SendMessageBatch"] == sum(math.ceil(page / MAX_BATCH) for page in pages)
    assert counted.deployment.ledger.keys(WAITING_PREFIX) == []


@pytest.mark.parametrize("seed", range(5))
def test_a_shuffled_closure_from_several_builders(objects: Objects, seed: int) -> None:
    chance = random.Random(seed)
    things: list[StoreObject] = []
    for number in range(60):
        references = chance.sample(things, min(len(things), chance.randrange(5)))
        things.append(objects.build(f"thing-{seed}-{number}", references))
    arrivals = [(thing, builder) for thing in things for builder in chance.sample(BUILDERS, chance.randint(1, 2))]
    chance.shuffle(arrivals)
    counted = Counted()
    for thing, builder in arrivals:
        counted.deployment.submit(thing, builder)
    counted.drain()
    assert counted.verdicts() == {Kind.PUBLISHED: len(things), Kind.DUPLICATE: len(arrivals) - len(things)}
    assert counted.deployment.ledger.keys(WAITING_PREFIX) == []
    Checker(counted.deployment)()


def test_a_container_announces_a_path_once_within_bounds(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: what it remembers is bounded, in number and in time; what it forgets it announces again."""
    monkeypatch.setattr(waiting, "REMEMBERED_ANNOUNCEMENTS", 2)
    missing = [objects.build(f"missing-{number}") for number in range(3)]
    deployment = SimulatedDeployment()
    announced: list[str] = []

    def note(request: Request) -> None:
        if request.operation == "PutObject" and request.target.startswith("ledger/provenance/"):
            announced.append(request.target)

    container = deployment.container(deployment.connect(before=note))

    def wait_for(number: int, referrer: str) -> int:
        announced.clear()
        deployment.submit(objects.build(referrer, [missing[number]]))
        deployment.drain(lambda: container)
        return len(announced)

    assert [wait_for(0, "a"), wait_for(0, "b"), wait_for(1, "c"), wait_for(2, "d"), wait_for(0, "e")] == [1, 0, 1, 1, 1]
    assert wait_for(0, "f") == 0
    deployment.aws.clock.advance(waiting.REMEMBERED.total_seconds())
    assert wait_for(0, "g") == 1


def test_a_reference_to_itself_waits_for_nobody(objects: Objects) -> None:
    counted = Counted()
    thing = objects.itself("loop")
    counted.deployment.submit(thing)
    counted.drain()
    assert counted.deployment.result(thing.path, ALICE).verdict.kind is Kind.PUBLISHED
