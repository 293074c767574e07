"""I6: wherever ingest dies, and whichever request fails in whichever way, delivering again leads to the same end.

Every request of every scenario meets every fault, and a checker looks at the deployment after each request (I1 to I4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from protocol.keys import BuilderName
from protocol.policy import SubmissionPolicy
from protocol.settings import DEFAULT_WAITING_DAYS, SECONDS_OF_A_DAY
from protocol.verdicts import AwaitingQuorum, Kind
from tests.concurrency.checker import Checker
from tests.concurrency.deployment import ALICE, BOB, CAROL, OPEN, TWO_OF_THREE, Container, SimulatedDeployment
from tests.concurrency.end import check_end
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import StoreObject
from tests.simulator.errors import Killed, RefusedError, time_out
from tests.simulator.requests import Answer, Request

OVERDUE_SECONDS = (DEFAULT_WAITING_DAYS + 1) * SECONDS_OF_A_DAY


@dataclass(frozen=True)
class Fault:
    """What happens to a request, before it reaches AWS or after it had its effect there."""

    name: str
    make: Callable[[], BaseException]
    after: bool = False


FAULTS = (
    Fault("killed before", Killed),
    Fault("killed after", Killed, after=True),
    Fault("throttled", lambda: RefusedError("SlowDown")),
    Fault("broken", lambda: RefusedError("InternalError")),
    Fault("denied", lambda: RefusedError("AccessDenied")),
    Fault("timed out after its effect", time_out, after=True),
)


@dataclass
class Run:
    """A deployment in which request ``index`` of ingest, counted over all containers, meets ``fault``."""

    policy: SubmissionPolicy
    index: int = -1
    fault: Fault | None = None
    requests: int = 0
    deployment: SimulatedDeployment = field(init=False)

    def __post_init__(self) -> None:
        self.deployment = SimulatedDeployment(self.policy)
        self._check = Checker(self.deployment)
        self._current = -1

    def submit(self, thing: StoreObject, builder: BuilderName = ALICE) -> None:
        """Submit and deliver until nothing is left to be done."""
        self.deployment.submit(thing, builder)
        self.drain()

    def drain(self) -> None:
        """Deliver until nothing is left to be done."""
        self.deployment.drain(self.start)

    def start(self) -> Container:
        """Start a container."""
        return self.deployment.container(self.deployment.connect(before=self._before, after=self._after))

    def _before(self, _: Request) -> None:
        self._current = self.requests
        self.requests += 1
        self._meet(after=False)

    def _after(self, request: Request, _: Answer | None) -> None:
        if request.operation not in {"GetObject", "HeadObject", "ListObjectsV2"}:
            self._check()
        self._meet(after=True)

    def _meet(self, *, after: bool) -> None:
        if self.fault is not None and (self._current, after) == (self.index, self.fault.after):
            raise self.fault.make()


Scenario = Callable[[Run, Objects], None]


def _published(run: Run, objects: Objects) -> None:
    run.submit(objects.build("leaf"))


def _published_unlistable(run: Run, objects: Objects) -> None:
    run.submit(objects.unlistable("leaf"))


def _published_with_warnings(run: Run, objects: Objects) -> None:
    leaf = objects.build("leaf")
    run.submit(leaf)
    run.submit(objects.build("other", text=f"/nix/store/{leaf.path.base_name}"))


def _duplicate(run: Run, objects: Objects) -> None:
    run.submit(objects.build("leaf"))
    run.submit(objects.build("leaf"), BOB)


def _delivered_twice(run: Run, objects: Objects) -> None:
    leaf = objects.build("leaf")
    run.deployment.submit(leaf)
    for message in run.deployment.queue.messages:
        run.deployment.queue.send(message.body)
    run.drain()


def _conflict(run: Run, objects: Objects) -> None:
    run.submit(objects.build("leaf"))
    run.submit(objects.build("leaf", text="other"), BOB)


def _waiting(run: Run, objects: Objects) -> None:
    leaf, other = objects.build("leaf"), objects.build("other")
    run.submit(objects.build("top", [leaf, other]))
    run.submit(leaf, BOB)
    run.submit(other)


def _references_missing(run: Run, objects: Objects) -> None:
    leaf = objects.build("leaf")
    top = objects.build("top", [leaf])
    run.submit(top)
    run.deployment.aws.clock.advance(OVERDUE_SECONDS)
    run.deployment.sweep()
    run.drain()
    run.submit(top)
    run.submit(leaf)


def _rejected(run: Run, objects: Objects) -> None:
    leaf, other = objects.build("leaf"), objects.build("other")
    run.submit(leaf.claiming(nar_hash=other.narinfo.nar_hash))


def _malformed(run: Run, objects: Objects) -> None:
    leaf = objects.build("leaf")
    run.deployment.upload(f"alice/{leaf.path.hash_part}.narinfo", b"StorePath: nonsense\n")
    run.drain()


def _misnamed(run: Run, _: Objects) -> None:
    run.deployment.upload("alice/index.html.narinfo", b"")
    run.drain()


def _quorum(run: Run, objects: Objects) -> None:
    voted = objects.build("voted-on")
    run.submit(voted)
    assert run.deployment.result(voted.path).verdict == AwaitingQuorum(1, 2)
    run.submit(voted, BOB)


def _quorum_after_contradiction(run: Run, objects: Objects) -> None:
    run.submit(objects.build("voted-on"))
    run.submit(objects.build("voted-on", text="other"), BOB)
    run.submit(objects.build("voted-on"), CAROL)


def _quorum_missing(run: Run, objects: Objects) -> None:
    voted = objects.build("voted-on")
    run.submit(voted)
    run.deployment.aws.clock.advance(OVERDUE_SECONDS)
    run.deployment.sweep()
    run.drain()
    run.submit(voted, BOB)


SCENARIOS: dict[str, tuple[Scenario, SubmissionPolicy, dict[str, Kind]]] = {
    "published": (_published, OPEN, {"alice/leaf": Kind.PUBLISHED}),
    "published without a listing": (_published_unlistable, OPEN, {"alice/leaf": Kind.PUBLISHED}),
    "published with warnings": (
        _published_with_warnings,
        OPEN,
        {"alice/leaf": Kind.PUBLISHED, "alice/other": Kind.PUBLISHED},
    ),
    "duplicate": (_duplicate, OPEN, {"alice/leaf": Kind.PUBLISHED, "bob/leaf": Kind.DUPLICATE}),
    "delivered twice": (_delivered_twice, OPEN, {"alice/leaf": Kind.PUBLISHED}),
    "conflict": (_conflict, OPEN, {"alice/leaf": Kind.PUBLISHED, "bob/leaf": Kind.CONFLICT}),
    "waiting": (
        _waiting,
        OPEN,
        {"alice/top": Kind.PUBLISHED, "bob/leaf": Kind.PUBLISHED, "alice/other": Kind.PUBLISHED},
    ),
    "references missing, then revived": (
        _references_missing,
        OPEN,
        {"alice/top": Kind.PUBLISHED, "alice/leaf": Kind.PUBLISHED},
    ),
    "rejected": (_rejected, OPEN, {"alice/leaf": Kind.REJECTED}),
    "malformed": (_malformed, OPEN, {"alice/": Kind.REJECTED}),
    "misnamed": (_misnamed, OPEN, {"alice/": Kind.REJECTED}),
    "quorum": (_quorum, TWO_OF_THREE, {"alice/voted-on": Kind.DUPLICATE, "bob/voted-on": Kind.PUBLISHED}),
    "quorum after a contradiction": (
        _quorum_after_contradiction,
        TWO_OF_THREE,
        {"alice/voted-on": Kind.DUPLICATE, "bob/voted-on": Kind.CONFLICT, "carol/voted-on": Kind.PUBLISHED},
    ),
    "quorum missing, then revived": (
        _quorum_missing,
        TWO_OF_THREE,
        {"alice/voted-on": Kind.DUPLICATE, "bob/voted-on": Kind.PUBLISHED},
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_request_meets_every_fault(name: str, objects: Objects, record_property: Callable[..., None]) -> None:
    scenario, policy, verdicts = SCENARIOS[name]
    undisturbed = Run(policy)
    scenario(undisturbed, objects)
    seen = {
        f"{result.submission.builder}/{result.store_path.name if result.store_path else ''}": result.verdict.kind
        for result in undisturbed.deployment.results()
    }
    assert seen == verdicts
    expected = undisturbed.deployment.state()
    for index in range(undisturbed.requests):
        for fault in FAULTS:
            run = Run(policy, index, fault)
            scenario(run, objects)
            assert run.requests > index, "the fault never happened"
            assert run.deployment.state() == expected, f"request {index} was {fault.name}"
            assert run.deployment.queue.dead_letters == []
    record_property("runs", undisturbed.requests * len(FAULTS))


@pytest.mark.parametrize("text", ["", "replaced"], ids=["the same again", "other contents"])
def test_what_a_wake_up_published_before_a_crash_is_known_though_it_was_replaced(objects: Objects, text: str) -> None:
    """I6: a wake-up names no version. It comes again, and what it finds is not what it published before."""
    leaf = objects.build("leaf")
    top, replaced = objects.build("top", [leaf]), objects.build("top", [leaf], text=text)
    index = 0
    while True:
        run = Run(OPEN, index, FAULTS[1])
        deployment = run.deployment
        deployment.submit(top)
        deployment.drain()
        deployment.submit(leaf, BOB)
        [message] = deployment.queue.visible
        assert deployment.queue.take(message)
        assert deployment.container()(message)
        [wake_up] = deployment.queue.visible
        assert deployment.queue.take(wake_up)
        try:
            run.start()(wake_up)
        except Killed:
            version_id = deployment.submit(replaced)
            run.drain()
            other = objects.build("top", [leaf], text="a third")
            run.submit(other, CAROL)
            last = {
                (ALICE, "top"): (replaced, version_id),
                (CAROL, "top"): (other, deployment.result(other.path, CAROL).version_id),
            }
            check_end(deployment, last)
            index += 1
            continue
        break
    assert index > 10
