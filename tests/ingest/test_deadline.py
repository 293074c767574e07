"""I6: an invocation that runs out of time says so in time, and no submission is lost or blamed for its neighbours."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from lambdas.ingest.deadline import LONG_ENOUGH_SECONDS, TO_BEGIN_SECONDS, TO_FINISH_SECONDS
from nixcache.compression import Compression
from nixcache.store_path import NIX_STORE
from protocol.delivery import FUNCTION_TIMEOUT_SECONDS
from protocol.keys import CacheListingKey
from protocol.verdicts import Published, Rejected
from tests.ingest.requests_log import RequestsLog
from tests.ingest.store_objects import Builder, StoreObject, pack, store_path
from tests.ingest.world import ALICE, KEY, Container, Context, World, connect, sqs_event
from tests.nixcache.nar_model import File
from tests.nixcache.nar_model import nar as nar_of

PUBLISHED = Published((KEY.name,))


def _slow(
    world: World, is_slow: Callable[[int, str], bool], left: float, *, at_first: float = FUNCTION_TIMEOUT_SECONDS
) -> tuple[Container, RequestsLog]:
    """Return a container with that much time, of which ``left`` seconds are left after the request that is slow."""
    clients = connect(world.aws)
    remaining = [float(at_first)]

    def take_time(number: int, operation: str) -> None:
        if is_slow(number, operation):
            remaining[0] = left

    log = RequestsLog(clients, before=take_time)
    return world.container(clients, context=lambda: Context(remaining_seconds=lambda: remaining[0])), log


def _is_commit(number: int, _: str) -> bool:
    return number == 7  # narinfo, is it published, what is withdrawn, NAR, key, nix-cache-info, copy, narinfo


def _is_nar(number: int, _: str) -> bool:
    return number == 3  # narinfo, is it published, what is withdrawn


def _submit_two(world: World, builder: Builder) -> tuple[list[str], list[str]]:
    """Submit two; return their keys' hash parts and their messages in the same order."""
    things = [builder.build("first"), builder.build("second")]
    messages = []
    for thing in things:
        world.submit(thing)
        messages += world.take_messages()
    return [thing.path.hash_part for thing in things], messages


def _results(world: World) -> list[str]:
    return [
        key.removeprefix(f"results/{ALICE}/").removesuffix(".json")
        for key in world.keys(world.settings.ledger_bucket, "results/")
    ]


def test_a_submission_is_not_begun_when_most_of_the_time_is_gone(world: World, builder: Builder) -> None:
    (first, second), messages = _submit_two(world, builder)
    container, log = _slow(world, _is_commit, TO_BEGIN_SECONDS - 0.001)
    assert container(sqs_event(*messages)) == messages[1:]
    assert _results(world) == [first]
    assert len(log.operations) == 11 + 1, "a leaf's, and that the message comes again soon"
    assert world.container()(sqs_event(*messages[1:])) == []
    assert sorted(_results(world)) == sorted((first, second))


def test_a_submission_is_begun_when_there_is_time(world: World, builder: Builder) -> None:
    _, messages = _submit_two(world, builder)
    container, _ = _slow(world, _is_commit, TO_BEGIN_SECONDS)
    assert container(sqs_event(*messages)) == []


def test_the_first_is_begun_in_any_case(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    world.submit(thing)
    container = world.container(context=lambda: Context(remaining_seconds=lambda: TO_BEGIN_SECONDS - 1))
    assert container(sqs_event(*world.take_messages())) == []
    assert world.verdict(thing.path) == PUBLISHED


def test_who_was_delivered_most_often_goes_first(world: World, builder: Builder) -> None:
    """Else one could stand back behind slow ones until it is a dead letter."""
    (_, second), messages = _submit_two(world, builder)
    event = sqs_event(*messages)
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] = "9"
    event["Records"][1]["attributes"]["ApproximateReceiveCount"] = "10"
    container, _ = _slow(world, _is_commit, 0)
    assert container(event) == messages[:1]
    assert _results(world) == [second]


def test_what_takes_all_the_time_there_is_is_rejected(world: World, builder: Builder) -> None:
    """It would take as long at every delivery, and be a dead letter in the end."""
    (first, _), messages = _submit_two(world, builder)
    container, _ = _slow(world, _is_nar, TO_FINISH_SECONDS - 0.001)
    assert container(sqs_event(*messages)) == messages[1:]
    assert _results(world) == [first]
    verdict = world.verdict(builder.build("first").path)
    assert isinstance(verdict, Rejected)
    assert verdict.code == "too-large"
    assert "840 seconds" in verdict.problem


def test_what_lost_its_time_elsewhere_is_not_blamed(world: World, builder: Builder) -> None:
    """The first has the whole time, but a slow S3 may take it before the verification begins."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    seconds = iter([float(FUNCTION_TIMEOUT_SECONDS / 2)])
    container = world.container(context=lambda: Context(remaining_seconds=lambda: next(seconds, 0.0)))
    assert container(sqs_event(*messages)) == messages
    assert _results(world) == []
    assert world.container()(sqs_event(*messages)) == []
    assert world.verdict(thing.path) == PUBLISHED


def test_looking_up_references_keeps_the_time(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    world.submit(leaf)
    world.run()
    world.submit(builder.build("top", [leaf]))
    messages = world.take_messages()
    container, log = _slow(world, lambda number, _: number == 1, TO_FINISH_SECONDS - 0.001)
    assert container(sqs_event(*messages)) == messages
    assert len(log.operations) == 3 + 1, (
        "narinfo, is it published, what is withdrawn; and that the message comes again soon"
    )


def test_what_had_only_a_part_of_the_time_comes_again(world: World, builder: Builder) -> None:
    (first, _), messages = _submit_two(world, builder)
    leaf = 10  # the container's first takes 11, and its NAR one number later
    container, _ = _slow(
        world,
        lambda number, _: _is_nar(number - leaf, ""),
        TO_FINISH_SECONDS - 0.001,
        at_first=LONG_ENOUGH_SECONDS + TO_FINISH_SECONDS - 1,
    )
    assert container(sqs_event(*messages)) == messages[1:]
    assert _results(world) == [first]
    assert world.container()(sqs_event(*messages[1:])) == []
    assert world.verdict(builder.build("second").path) == PUBLISHED


def _large(*, faulty: bool = False) -> StoreObject:
    contents = os.urandom(24 * 1024**2)
    nar = nar_of(File(contents))
    return pack(store_path("large"), b"no NAR" + nar[6:] if faulty else nar, (), Compression.NONE)


class _Reading:
    """Delivers a submission; ``left`` tells the time that is left, after how many bytes of the NAR."""

    def __init__(self, world: World, thing: StoreObject, left: Callable[[int], float]) -> None:
        world.submit(thing)
        clients = connect(world.aws)
        bodies: list[Any] = []  # the last is the NAR's
        clients.s3.meta.events.register(
            "after-call.s3.GetObject", lambda parsed, **_: bodies.extend([parsed["Body"]] if "Body" in parsed else [])
        )
        container = world.container(
            clients, context=lambda: Context(remaining_seconds=lambda: left(bodies[-1]._amount_read))
        )
        self.failed = container(sqs_event(*world.take_messages()))
        self.read: int = bodies[-1]._amount_read
        self.is_over = bodies[-1]._raw_stream.closed and not any(
            thread.name.startswith("nar-proof") for thread in threading.enumerate()
        )


@pytest.mark.parametrize("at_first", [FUNCTION_TIMEOUT_SECONDS, FUNCTION_TIMEOUT_SECONDS / 2])
def test_a_verification_whose_time_is_over_lets_go_of_everything(world: World, at_first: float) -> None:
    """The time is looked at on the thread that reads, while another examines what was read before."""
    thing = _large()
    reading = _Reading(world, thing, lambda read: at_first if read < len(thing.file) // 4 else 0.0)
    assert reading.read < len(thing.file) / 2
    assert reading.is_over
    if at_first < FUNCTION_TIMEOUT_SECONDS:
        assert reading.failed
        assert _results(world) == []
    else:
        assert not reading.failed
        assert isinstance(world.verdict(thing.path), Rejected)


def test_a_fault_that_the_other_thread_finds_ends_the_reading(world: World) -> None:
    thing = _large(faulty=True)
    reading = _Reading(world, thing, lambda _: FUNCTION_TIMEOUT_SECONDS)
    assert not reading.failed
    assert reading.read < len(thing.file) / 2
    assert reading.is_over
    verdict = world.verdict(thing.path)
    assert isinstance(verdict, Rejected)
    assert verdict.code == "nar-malformed"


def test_looking_through_a_closure_keeps_the_time(world: World, builder: Builder) -> None:
    libc = builder.build("libc")
    low = builder.build("low", [libc])
    high = builder.build("high", [low])
    for thing in (libc, low, high):
        world.submit(thing)
        world.run()
    top = builder.build("top", [high], text=NIX_STORE.render(libc.path))
    world.submit(top)
    messages = world.take_messages()
    first_look_up = 5  # narinfo, is it published, what is withdrawn, reference, NAR
    container, log = _slow(world, lambda number, _: number == first_look_up, TO_FINISH_SECONDS - 0.001)
    assert container(sqs_event(*messages)) == messages
    assert log.operations[first_look_up:] == ["GetObject", "ChangeMessageVisibility"]
    assert world.published(top.path) is None
    assert world.container()(sqs_event(*messages)) == []
    assert world.verdict(top.path) == PUBLISHED


@pytest.mark.parametrize("left", [TO_FINISH_SECONDS, TO_FINISH_SECONDS - 0.001])
def test_waking_goes_on_at_the_next_delivery(world: World, builder: Builder, left: float) -> None:
    """There may be any number of waiters; the publisher has its verdict before them."""
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(top)
    world.run()
    world.submit(leaf)
    messages = world.take_messages()
    container, _ = _slow(world, lambda _, operation: operation == "ListObjectsV2", left)
    assert container(sqs_event(*messages)) == ([] if left >= TO_FINISH_SECONDS else messages)
    assert world.verdict(leaf.path) == PUBLISHED
    assert world.container()(sqs_event(*messages)) == []
    world.run()
    assert world.verdict(top.path) == PUBLISHED


def test_a_listing_that_takes_too_long_is_nobodys_fault(
    world: World, builder: Builder, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """What is published was verified in time once: for want of its listing it is not rejected."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    assert world.container()(sqs_event(*messages)) == []
    key = str(CacheListingKey(thing.path.hash_part))
    world.admin.s3.delete_object(Bucket=world.settings.cache_bucket, Key=key)
    container, _ = _slow(world, lambda _, operation: operation == "HeadObject", 0)
    assert container(sqs_event(*messages)) == messages
    assert "time is nearly over" in log_lines()[-1]["problem"]
    assert world.verdict(thing.path) == PUBLISHED
    assert world.container()(sqs_event(*messages)) == []
    assert key in world.keys(world.settings.cache_bucket)
