"""Re-signing beside others and through faults: a narinfo is old or new, and another run finishes what is left (I6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from unittest import mock

import pytest

from lambdas.resign import handler, resigner
from nixcache.errors import TransientError
from protocol.keys import CacheNarInfoKey
from tests.concurrency.deployment import KEY
from tests.ingest.store_objects import Builder, StoreObject
from tests.resign.conftest import LATER, NEXT, Cache, reverify
from tests.simulator.errors import Killed, RefusedError, time_out
from tests.simulator.requests import Answer, Request
from tests.simulator.serial_pool import SerialPool

Fault = Callable[[], BaseException]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """One request after the other, the same in each run."""
    with mock.patch.object(handler, "ThreadPoolExecutor", SerialPool):
        yield


@pytest.fixture
def things(cache: Cache, builder: Builder) -> list[StoreObject]:
    built = [builder.build(name) for name in ("one", "two", "three")]
    cache.publish(*built)
    return built


def _texts(cache: Cache, things: list[StoreObject]) -> list[bytes]:
    return [cache.text(thing.path) for thing in things]


@pytest.mark.parametrize("request_", [{"mode": "add"}, reverify(KEY.name)], ids=["add", "reverify"])
def test_i6_a_crash_before_or_after_any_request(
    cache: Cache, things: list[StoreObject], request_: dict[str, object]
) -> None:
    old = _texts(cache, things)
    cache.rotate(NEXT)
    if request_["mode"] == "reverify":
        cache.rotate(LATER)
    sent: list[Request] = []
    cache.run(request_, clients=cache.deployment.connect(before=sent.append))
    new = _texts(cache, things)
    assert not set(new) & set(old)
    for number in range(len(sent)):
        for is_after in (False, True):
            for thing, text in zip(things, old, strict=True):
                cache.put(thing.path, text)

            def kill(request: Request, _: Answer | None = None, *, number: int = number) -> None:
                if request.number == number:
                    raise Killed

            clients = cache.deployment.connect(**({"after": kill} if is_after else {"before": kill}))
            with pytest.raises(Killed):
                cache.run(request_, clients=clients)
            for text, before, after in zip(_texts(cache, things), old, new, strict=True):
                assert text in (before, after)
            assert cache.run(request_) == {}
            assert _texts(cache, things) == new


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda: RefusedError("SlowDown"), id="503"),
        pytest.param(lambda: RefusedError("AccessDenied"), id="403"),
        pytest.param(time_out, id="time-out"),
    ],
)
@pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
def test_trouble_with_one_keeps_nobody_else_waiting(
    cache: Cache, things: list[StoreObject], operation: str, fault: Fault
) -> None:
    cache.rotate()
    first, second, third = (str(CacheNarInfoKey(thing.path.hash_part)) for thing in things)

    def fail(request: Request) -> None:
        if request.operation == operation and request.parameters.get("Key") == second:
            raise fault()

    with pytest.raises(TransientError, match="1 of 3 narinfos"):
        cache.run(keys=[first, second, third], clients=cache.deployment.connect(before=fail))
    assert [cache.signers(thing.path)[0] for thing in things] == [NEXT.name, KEY.name, NEXT.name]
    assert cache.run() == {}
    assert all(cache.signers(thing.path) == [NEXT.name, KEY.name] for thing in things)


def test_trouble_in_passing_does_not_bring_the_whole_batch_back(cache: Cache, things: list[StoreObject]) -> None:
    """With one request in a hundred failing, a batch of hundreds would otherwise never be read through."""
    cache.rotate()
    failed: set[str] = set()
    read: Counter[str] = Counter()

    def fail_once(request: Request) -> None:
        read.update([str(request)])
        if str(request) not in failed and things[1].path.hash_part in request.target:
            failed.add(str(request))
            raise RefusedError("SlowDown")

    assert cache.run(clients=cache.deployment.connect(before=fail_once)) == {}
    assert all(cache.signers(thing.path) == [NEXT.name, KEY.name] for thing in things)
    assert read[f"GetObject cache/{things[0].path.hash_part}.narinfo"] == 1
    assert read[f"GetObject cache/{things[1].path.hash_part}.narinfo"] == 3


def test_where_nothing_works_it_gives_up_at_once(cache: Cache, things: list[StoreObject]) -> None:
    cache.rotate()
    sent: Counter[str] = Counter()

    def fail(request: Request) -> None:
        sent.update([request.operation])
        if request.operation == "GetObject":
            raise RefusedError("SlowDown")

    with pytest.raises(TransientError, match="3 of 3 narinfos"):
        cache.run(clients=cache.deployment.connect(before=fail))
    assert sent["GetObject"] == len(things)


def test_another_write_under_way_is_waited_out(cache: Cache, things: list[StoreObject]) -> None:
    """S3 answers 409 where two conditional writes meet."""
    cache.rotate()
    refused: set[str] = set()

    def conflict_once(request: Request) -> None:
        if request.operation == "PutObject" and request.target not in refused:
            refused.add(request.target)
            raise RefusedError("ConditionalRequestConflict")

    assert cache.run(clients=cache.deployment.connect(before=conflict_once)) == {}
    assert len(refused) == 3
    assert all(cache.signers(thing.path) == [NEXT.name, KEY.name] for thing in things)


def test_who_always_loses_comes_again(cache: Cache, things: list[StoreObject]) -> None:
    cache.rotate()
    tries = 0

    def conflict(request: Request) -> None:
        nonlocal tries
        if request.operation == "PutObject":
            tries += 1
            raise RefusedError("ConditionalRequestConflict")

    key = str(CacheNarInfoKey(things[0].path.hash_part))
    with pytest.raises(TransientError, match="1 of 1 narinfos"):
        cache.run(keys=[key], clients=cache.deployment.connect(before=conflict))
    assert tries == resigner.ATTEMPTS


def test_what_changed_since_it_was_read_is_read_again(cache: Cache, things: list[StoreObject]) -> None:
    """I3: without If-Match, what another run has written in between would be lost."""
    cache.rotate()
    thing = things[0]
    key = str(CacheNarInfoKey(thing.path.hash_part))
    changed = replace(cache.narinfo(thing.path), deriver=things[1].path).render()
    is_due = True

    def come_between(request: Request) -> None:
        nonlocal is_due
        if request.operation == "PutObject" and is_due:
            is_due = False
            cache.put(thing.path, changed)

    assert cache.run(keys=[key], clients=cache.deployment.connect(before=come_between)) == {}
    assert cache.narinfo(thing.path).deriver == things[1].path
    assert cache.signers(thing.path) == [NEXT.name, KEY.name]


def test_what_was_deleted_since_it_was_read_stays_deleted(cache: Cache, things: list[StoreObject]) -> None:
    cache.rotate()
    key = str(CacheNarInfoKey(things[0].path.hash_part))

    def unpublish(request: Request) -> None:
        if request.operation == "PutObject":
            cache.deployment.connect().s3.delete_object(Bucket="cache", Key=key)

    assert cache.run(keys=[key], clients=cache.deployment.connect(before=unpublish)) == {}
    assert cache.deployment.cache.read(key) is None


def test_two_runs_at_once_end_as_one(cache: Cache, things: list[StoreObject]) -> None:
    cache.rotate()
    is_due = True

    def run_another(request: Request) -> None:
        nonlocal is_due
        if request.operation == "PutObject" and is_due:
            is_due = False
            cache.run()

    assert cache.run(clients=cache.deployment.connect(before=run_another)) == {}
    assert all(cache.signers(thing.path) == [NEXT.name, KEY.name] for thing in things)


def test_i6_near_the_end_of_its_time_it_gives_up_and_comes_again(cache: Cache, things: list[StoreObject]) -> None:
    """A function that is ended says nothing; one that raises is called again, and does what is left."""
    cache.rotate()
    left = [100.0]

    def age(request: Request) -> None:
        if request.operation == "PutObject":
            left[0] = 30.0

    old = _texts(cache, things)
    with pytest.raises(TransientError, match=r"2 of 3 narinfos.*nearly over"):
        cache.run(clients=cache.deployment.connect(before=age), remaining_seconds=lambda: left[0])
    assert sum(text not in old for text in _texts(cache, things)) == 1
    assert cache.run() == {}
    assert all(cache.signers(thing.path) == [NEXT.name, KEY.name] for thing in things)


def test_a_nar_is_left_when_the_time_is_over(cache: Cache, things: list[StoreObject]) -> None:
    cache.rotate(NEXT)
    cache.rotate(LATER)
    left = [400.0]

    def age(request: Request) -> None:
        if "/nar/" in request.target:
            left[0] = 30.0

    old = _texts(cache, things)
    with pytest.raises(TransientError, match="3 of 3 narinfos"):
        cache.run(
            reverify(KEY.name),
            clients=cache.deployment.connect(before=age),
            remaining_seconds=lambda: left[0],
        )
    assert _texts(cache, things) == old


def test_ingest_publishes_beside_it(cache: Cache, things: list[StoreObject], builder: Builder) -> None:
    """What is published between listing and signing, with whichever key, is left to itself."""
    late = builder.build("late", [things[0]])
    cache.rotate()
    is_due = True

    def publish(request: Request) -> None:
        nonlocal is_due
        if request.operation == "PutObject" and is_due:
            is_due = False
            cache.publish(late)

    assert cache.run(clients=cache.deployment.connect(before=publish)) == {}
    assert cache.signers(late.path) == [NEXT.name]
    assert all(cache.signers(thing.path) == [NEXT.name, KEY.name] for thing in things)
