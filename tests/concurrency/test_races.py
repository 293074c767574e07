"""I2, I3, I4, I6: two or three submissions at once, in *every* order with so many changes of turn.

Most races need one change at the wrong moment: one container stops between two requests, another runs to its end, and
the first goes on. Here each such moment is tried, and not one that chance picks; `--preemptions 2` tries all pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, permutations

import pytest

from protocol.keys import BuilderName
from protocol.policy import QuorumRule, SubmissionPolicy
from tests.concurrency.checker import Checker
from tests.concurrency.deployment import ALICE, BOB, CAROL, OPEN, TWO_OF_THREE, SimulatedDeployment
from tests.concurrency.end import check_end
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import StoreObject
from tests.simulator.scheduler import Scheduler, Step
from tests.simulator.sqs import Message

THREE_OF_THREE = SubmissionPolicy(OPEN.builders, (QuorumRule(("voted-*",), 3),))
LONGER = 12
"""Requests that a run with changes of turn may have more than one without."""

Upload = tuple[BuilderName, StoreObject]


@dataclass(frozen=True)
class Race:
    """``before`` is submitted and judged one after the other; then what is ``at_once`` is, each in its own container.

    ``twice`` has the first of those delivered twice.
    """

    policy: SubmissionPolicy
    before: Sequence[Upload]
    at_once: Sequence[Upload]
    twice: bool = False

    def run(self, order: Sequence[int], changes: Collection[int]) -> int:
        """Run it in ``order``, with ``changes`` of turn before those requests; return how many requests there were."""
        deployment = SimulatedDeployment(self.policy)
        last: dict[tuple[BuilderName, str], tuple[StoreObject, str]] = {}
        for builder, thing in self.before:
            last[builder, thing.path.name] = (thing, deployment.submit(thing, builder))
            deployment.drain()
        for builder, thing in self.at_once:
            last[builder, thing.path.name] = (thing, deployment.submit(thing, builder))
        messages = deployment.queue.messages
        if self.twice:
            messages.append(deployment.queue.send(messages[0].body))
        check = Checker(deployment)
        containers = [f"container {number}" for number in order]
        scheduler = Scheduler(lambda waiting: _choose(waiting, scheduler, containers, changes), watch=check)
        outcomes = scheduler.run(
            {
                name: _judging(deployment, scheduler, messages[number])
                for name, number in zip(containers, order, strict=True)
            }
        )
        steps = len(scheduler.trace)
        try:
            assert [outcome.error for outcome in outcomes.values() if outcome.error] == []
            deployment.drain()
            check()
            check_end(deployment, last)
        except BaseException as error:
            error.add_note(scheduler.story())
            raise
        return steps


def _choose(waiting: Sequence[Step], scheduler: Scheduler, containers: Sequence[str], changes: Collection[int]) -> int:
    """Whoever went last goes on, or, after its end or at a change, the next in turn."""
    trace = scheduler.trace
    turns = containers.index(trace[-1].actor) if trace else 0
    in_turn = [*containers[turns:], *containers[:turns]]
    going = [name for name in in_turn if name in {step.actor for step in waiting}]
    chosen = going[(len(trace) in changes) % len(going)]
    return next(position for position, step in enumerate(waiting) if step.actor == chosen)


def _judging(deployment: SimulatedDeployment, scheduler: Scheduler, message: Message) -> Callable[[], None]:
    container = deployment.container(deployment.connect(before=scheduler.before))
    assert deployment.queue.take(message)

    def judge() -> None:
        container(message)

    return judge


def _races(objects: Objects) -> dict[str, Race]:
    leaf, other = objects.build("leaf"), objects.build("leaf", text="other")
    top, other_top = objects.build("top", [leaf]), objects.build("top", [leaf], text="other")
    voted, other_vote = objects.build("voted-on"), objects.build("voted-on", text="other")
    return {
        "a reference and its referrer": Race(OPEN, [], [(ALICE, top), (BOB, leaf)]),
        "who waits, woken and sent again": Race(OPEN, [(ALICE, top)], [(ALICE, top), (BOB, leaf)]),
        "who waits, replaced": Race(OPEN, [(ALICE, top)], [(ALICE, other_top), (BOB, leaf)]),
        "two versions and what they wait for": Race(OPEN, [], [(ALICE, top), (ALICE, other_top), (BOB, leaf)]),
        "one object from two builders": Race(OPEN, [], [(ALICE, leaf), (BOB, leaf)]),
        "two objects of one path": Race(OPEN, [], [(ALICE, leaf), (BOB, other)]),
        "two versions of one builder's": Race(OPEN, [], [(ALICE, leaf), (ALICE, other)]),
        "one delivered twice": Race(OPEN, [], [(ALICE, leaf)], twice=True),
        "who waits, delivered twice": Race(OPEN, [], [(ALICE, top), (BOB, leaf)], twice=True),
        "two votes that agree": Race(TWO_OF_THREE, [], [(ALICE, voted), (BOB, voted)]),
        "two votes that contradict": Race(TWO_OF_THREE, [], [(ALICE, voted), (BOB, other_vote)]),
        "a third vote settles it": Race(TWO_OF_THREE, [(ALICE, voted)], [(BOB, other_vote), (CAROL, voted)]),
        "two complete the quorum": Race(TWO_OF_THREE, [(ALICE, voted)], [(BOB, voted), (CAROL, voted)]),
        "one changes its mind": Race(TWO_OF_THREE, [(BOB, voted)], [(ALICE, voted), (ALICE, other_vote)]),
        "the last two of three votes": Race(THREE_OF_THREE, [(ALICE, voted)], [(BOB, voted), (CAROL, voted)]),
        "two of three votes": Race(THREE_OF_THREE, [], [(ALICE, voted), (BOB, voted)]),
        "a vote delivered twice": Race(TWO_OF_THREE, [(BOB, voted)], [(ALICE, voted)], twice=True),
    }


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(17))
def test_every_order_ends_as_it_must(
    number: int, objects: Objects, preemptions: int, record_property: Callable[[str, object], None]
) -> None:
    races = list(_races(objects).items())
    assert len(races) == 17, "a race that nobody runs"
    name, race = races[number]
    runs = 0
    for order in permutations(range(len(race.at_once) + race.twice)):
        requests = range(1, race.run(order, ()) + LONGER)
        for changes in chain.from_iterable(combinations(requests, count) for count in range(preemptions + 1)):
            race.run(order, changes)
            runs += 1
    record_property(name, runs)
