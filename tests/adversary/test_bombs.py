"""Submissions that cost more than they look: work and memory are bounded whatever a builder sends (I7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from lambdas.ingest.deadline import TO_FINISH_SECONDS
from lambdas.ingest.gate import NAMED_AT_MOST
from lambdas.ingest.handler import make_handler
from lambdas.ingest.wiring import build_delivery
from nixcache.compression import Compression
from nixcache.narinfo import MAX_NARINFO_SIZE
from nixcache.store_path import HashPart
from protocol.delivery import FUNCTION_TIMEOUT_SECONDS
from protocol.keys import BuilderName, NarFile, ProvenanceKey, StagingNarInfoKey, StagingNarKey, WaitingKey
from protocol.verdicts import Kind
from tests.adversary.target import MALLORY, Target, body_of
from tests.concurrency.deployment import ALICE
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import StoreObject, pack, store_path
from tests.ingest.world import Context
from tests.nixcache.compressed import SKIPPABLE_FRAME, bomb, compressed
from tests.nixcache.nar_model import File, nar
from tests.simulator.aws import lambda_event
from tests.simulator.requests import Answer, Request

GIB = 1024**3


def _of(file: bytes, *, nar_size: int) -> StoreObject:
    """Return a submission of these bytes that tells their size in the file truly, and claims a NAR of ``nar_size``."""
    thing = pack(store_path("bomb"), nar(File(b"x")), (), Compression.ZSTD).claiming(
        file_hash=None, file_size=None, nar_size=nar_size
    )
    return replace(thing, file=file)


_SMALL = nar(File(b"x" * 1000))
_EMPTY_FRAME = compressed(Compression.ZSTD, b"")
BOMBS = {
    "zeros that say how many they are": (b"".join(bomb(Compression.ZSTD, b"", 2 * GIB)), 2 * GIB, "too-large"),
    "zeros that say they are few": (b"".join(bomb(Compression.ZSTD, b"", 2 * GIB)), 1024**2, "nar-malformed"),
    "zeros behind the beginning of a NAR": (
        b"".join(bomb(Compression.ZSTD, _SMALL[:96], GIB)),
        1024**2,
        "nar-malformed",
    ),
    "a bomb in a bomb": (
        compressed(Compression.ZSTD, b"".join(bomb(Compression.ZSTD, b"", GIB))),
        1024**2,
        "nar-malformed",
    ),
    "frames of nothing without end": (_EMPTY_FRAME * 100_000, len(_SMALL), "too-large"),
    "skippable frames without end": (SKIPPABLE_FRAME * 100_000, len(_SMALL), "too-large"),
    "as many frames of nothing as may be": (
        _EMPTY_FRAME * (64 * 1024 // len(_EMPTY_FRAME)),
        len(_SMALL),
        "nar-size-mismatch",
    ),
    "a size that no NAR has": (compressed(Compression.ZSTD, _SMALL), 9 * 10**18, "too-large"),
    "nothing at all": (b"", len(_SMALL), "compressed-data-malformed"),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_is_rejected_and_read_no_further_than_it_must(target: Target, what: str) -> None:
    """I6 and I7: one delivery, a verdict with its reason, and nothing in the cache."""
    file, nar_size, code = BOMBS[what]
    thing = _of(file, nar_size=nar_size)
    target.attack(thing)
    assert target.rejection(thing.path).code == code
    assert target.cache.keys() == []
    assert target.deliveries == 1


def test_a_huge_narinfo_is_read_up_to_its_limit(target: Target, objects: Objects) -> None:
    """I7: S3 takes objects of 5 TB, and a narinfo is one more object."""
    leaf = objects.build("leaf")
    read: list[int] = []

    def measure(request: Request, answer: Answer | None) -> None:
        if request.operation == "GetObject":
            bodies.append(answer)

    bodies: list[Answer | None] = []
    target.upload(StagingNarInfoKey(MALLORY, leaf.path.hash_part), leaf.narinfo.render() + bytes(16 * 1024**2))
    target.drain(lambda: target.container(target.connect(after=measure)))
    read = [body_of(answer) for answer in bodies]
    assert read[0] == MAX_NARINFO_SIZE + 1
    assert target.rejection(leaf.path).code == "narinfo-malformed"


def test_references_that_nobody_has_cost_a_bounded_number_of_look_ups(target: Target, objects: Objects) -> None:
    """I7: one marker and one announcement a submission, however many are missing, and however often it comes."""
    missing = tuple(sorted(store_path("nowhere", str(number)) for number in range(NAMED_AT_MOST)))
    greedy = objects.build("greedy").claiming(references=missing)
    for round_ in range(1, 4):
        target.attack(greedy)
        assert target.result(greedy.path, MALLORY).verdict.kind is Kind.WAITING
        assert len(target.requests) <= round_ * (NAMED_AT_MOST + 9)
    first = missing[0].hash_part
    assert target.ledger.keys("waiting/") == [str(WaitingKey(first, MALLORY, greedy.path.hash_part))]
    assert target.ledger.keys("provenance/") == [str(ProvenanceKey(first))]


def test_markers_planted_by_the_hundred_thousand_hold_nobody_up(target: Target, objects: Objects) -> None:
    """I6 and I7: who publishes has its verdict before them, and wakes them in pieces that fit into its time.

    Each is the trace of a submission of Mallory's, so the wake-ups cost no more than the submissions did.
    """
    leaf = objects.build("leaf")
    planted = 100_000
    put = target.connect().s3.put_object
    for number in range(planted):
        marker = WaitingKey(leaf.path.hash_part, MALLORY, HashPart(f"{number:032d}"))
        put(Bucket="ledger", Key=str(marker))
    target.connect().s3.put_object(Bucket="ledger", Key=str(ProvenanceKey(leaf.path.hash_part)))
    target.submit(leaf, ALICE)
    (message,) = target.queue.messages
    left = [float(FUNCTION_TIMEOUT_SECONDS)]

    def take_time(request: Request) -> None:
        target.requests.append(request)
        left[0] -= 0.2  # AWS on a bad day

    handler = make_handler(
        lambda: build_delivery(
            target.settings, target.policy, target.connect(before=take_time), now=lambda: target.aws.clock.now
        )
    )
    deliveries = 0
    while True:
        left[0] = FUNCTION_TIMEOUT_SECONDS
        deliveries += 1
        assert target.queue.take(message)
        event = lambda_event(target.queue, [message])
        context = Context(remaining_seconds=lambda: left[0])
        failures = handler(cast("dict[str, Any]", event), cast("Any", context))["batchItemFailures"]
        assert left[0] > 0, "Lambda would have ended it"
        assert target.result(leaf.path, ALICE).verdict.kind is Kind.PUBLISHED
        if not failures:
            break
        assert left[0] > TO_FINISH_SECONDS - 0.2 * 105, "a page more at the most"
    assert deliveries == 3
    assert target.ledger.keys("waiting/") == []
    wakes = len(target.queue.messages) - 1
    assert wakes == planted
    requests = [request.operation for request in target.requests]
    assert requests.count("SendMessageBatch") == planted / 10
    assert requests.count("DeleteObjects") <= planted / 1000 + deliveries


def test_announcements_for_paths_that_never_come_cost_the_others_nothing(target: Target, objects: Objects) -> None:
    """Whoever publishes looks for what is announced for its own path: of a thousand others it sees none."""
    quiet = Target()
    quiet.attack(objects.build("leaf"), ALICE)
    for number in range(50):
        waiting = objects.build(f"waiting-{number}").claiming(references=(store_path("never", str(number)),))
        target.attack(waiting)
    assert len(target.ledger.keys("provenance/")) == len(target.ledger.keys("waiting/")) == 50
    before = len(target.requests)
    target.attack(objects.build("leaf"), ALICE)
    honest = [request.operation for request in target.requests[before:]]
    assert honest == [request.operation for request in quiet.requests]


def test_an_announcement_for_a_path_is_no_provenance_of_it(target: Target, objects: Objects) -> None:
    """An empty object lies where provenance belongs: the publication replaces it, and nobody is blamed meanwhile."""
    leaf = objects.build("leaf")
    waiting = objects.build("waiting", [leaf])
    target.attack(waiting)
    assert target.ledger.read(str(ProvenanceKey(leaf.path.hash_part))) == b""
    target.attack(leaf, ALICE)
    assert b'"payload"' in (target.ledger.read(str(ProvenanceKey(leaf.path.hash_part))) or b"")
    assert target.result(waiting.path, MALLORY).verdict.kind is Kind.PUBLISHED


def test_paths_that_wait_for_many_are_woken_once_for_each_at_the_most(target: Target, objects: Objects) -> None:
    """I7: references that come one by one, in the worst order: waiters times references, and that is the end of it."""
    references = sorted((objects.build(f"reference-{number}") for number in range(6)), key=lambda thing: thing.path)
    waiters = [objects.build(f"waiter-{number}", references) for number in range(4)]
    for thing in (*waiters, *references):
        target.attack(thing)
    assert {target.result(thing.path, MALLORY).verdict.kind for thing in waiters} == {Kind.PUBLISHED}
    assert target.deliveries == len(waiters) + len(references) + len(waiters) * len(references)


def test_a_flood_of_submissions_of_one_path_ends_in_one_publication(target: Target, objects: Objects) -> None:
    """I6: fifty versions of one narinfo, their events in reverse: one is published, one result is left."""
    things = [objects.build("leaf", text=str(number)) for number in range(50)]
    for thing in things:
        target.submit(thing, MALLORY)
    for message in reversed(target.queue.messages):
        assert target.queue.take(message)
        assert target.container()(message)
    assert len(target.narinfos()) == 1
    assert len(target.ledger.keys("results/")) == 1
    newest = target.staging.current(str(StagingNarInfoKey(MALLORY, things[0].path.hash_part)))
    assert newest is not None
    assert target.result(things[0].path, MALLORY).version_id == newest.version_id


def test_who_is_no_builder_has_nothing_read(target: Target, objects: Objects) -> None:
    """I6: whoever the policy does not name gets its verdict without a byte of its NAR being read."""
    stranger = BuilderName("stranger")
    leaf = objects.build("leaf")
    target.upload(StagingNarKey(stranger, NarFile.parse_url(leaf.narinfo.url)), leaf.file)
    target.attack(leaf, stranger)
    assert target.rejection(leaf.path, stranger).code == "not-allowed"
    assert not [request for request in target.requests if "/nar/" in request.target]
