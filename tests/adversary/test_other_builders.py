"""What one builder may learn of another: nothing that the cache does not show to everybody, whatever both do (I8)."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.keys import BuilderName, NarFile, StagingNarInfoKey, StagingNarKey
from protocol.results import Result
from protocol.settings import SECONDS_OF_A_DAY
from tests.adversary.target import MALLORY, MALLORY_2, Target
from tests.concurrency.deployment import ALICE, BOB
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import StoreObject, sha256
from tests.simulator.serial_pool import one_thread_a_container

Step = Callable[[Target, BuilderName, StoreObject], object]
BUILDERS = (ALICE, BOB, MALLORY, MALLORY_2)


def _wait(target: Target) -> None:
    target.aws.clock.advance(8 * SECONDS_OF_A_DAY)
    target.sweep()


STEPS: dict[str, Step] = {
    "submits": lambda target, builder, thing: target.submit(thing, builder),
    "submits a narinfo without its NAR": lambda target, builder, thing: target.upload(
        StagingNarInfoKey(builder, thing.path.hash_part), thing.narinfo.render()
    ),
    "submits nonsense": lambda target, builder, thing: target.upload(
        StagingNarInfoKey(builder, thing.path.hash_part), b"nonsense"
    ),
    "swaps a NAR": lambda target, builder, thing: target.upload(
        StagingNarKey(builder, NarFile.parse_url(thing.narinfo.url)), b"swapped"
    ),
    "lies about a hash": lambda target, builder, thing: target.submit(thing.claiming(nar_hash=sha256(b"lie")), builder),
    "leaves a reference out": lambda target, builder, thing: target.submit(thing.claiming(references=()), builder),
    "puts a narinfo elsewhere": lambda target, builder, thing: target.upload(
        f"{builder}/x/{thing.path.hash_part}.narinfo", thing.narinfo.render()
    ),
    "waits for a week": lambda target, *_: _wait(target),
}
_HASH = re.compile(r"sha256:[0-9a-z]{52}")


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> list[StoreObject]:
    objects = Objects(tmp_path_factory.mktemp("objects"))
    leaf = objects.build("leaf")
    voted = objects.build("voted-glibc")
    return [
        leaf,
        objects.build("leaf", text="other"),
        voted,
        objects.build("voted-glibc", text="other"),
        objects.build("top", [leaf]),
        objects.build("voted-top", [voted, leaf]),
    ]


def _hashes_that_may_be_told(result: Result, things: list[StoreObject]) -> set[str]:
    """Return the NAR hashes of all submissions of the result's own path: a conflict names the other one's."""
    part = result.submission.hash_part
    return {str(thing.narinfo.nar_hash) for thing in things if thing.path.hash_part == part} | {str(sha256(b"lie"))}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from(BUILDERS), st.integers(0, 5), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_no_result_names_another_builder_or_its_submissions(
    things: list[StoreObject], steps: list[tuple[str, BuilderName, int, bool]]
) -> None:
    """I8: over any course of events. Of others, a result tells NAR hashes for its own path, and how many agree."""
    with one_thread_a_container():
        target = Target()
        for step, builder, number, at_once in steps:
            STEPS[step](target, builder, things[number])
            if at_once:
                target.run()
        target.run()
        target.check()
        for result in target.results():
            told = set(_HASH.findall(result.to_json().decode()))
            assert told <= _hashes_that_may_be_told(result, things)


def test_a_result_of_every_verdict_was_looked_at(things: list[StoreObject]) -> None:
    """So that the property above is not about nothing."""
    kinds = set()
    leaf, other, voted, voted_other, top, _ = things
    target = Target()
    for thing, builder in (
        (top, BOB),
        (leaf, ALICE),
        (leaf, BOB),
        (other, MALLORY),
        (voted, ALICE),
        (voted_other, MALLORY),
        (top.claiming(nar_size=2**62), MALLORY_2),
    ):
        target.attack(thing, builder)
        kinds |= {result.verdict.kind.value for result in target.results()}
    target.check()
    assert kinds == {"published", "duplicate", "waiting", "awaiting-quorum", "conflict", "rejected"}


def test_who_asks_by_submitting_learns_what_readers_know(objects: Objects) -> None:
    """I8: a narinfo without its NAR gets no other verdict because another builder has submitted that path.

    Where a quorum is needed that is not so: a builder's own vote is told when somebody contradicts it.
    """
    thing = objects.build("leaf")
    answers = []
    for others_have_it in (False, True):
        target = Target()
        if others_have_it:  # and it waits, unpublished
            target.attack(thing.claiming(references=(objects.build("never").path,)), ALICE)
        target.upload(StagingNarInfoKey(MALLORY, thing.path.hash_part), thing.narinfo.render())
        target.run()
        answers.append(target.rejection(thing.path))
        target.check()
    assert answers[0] == answers[1]
