"""I4 and I6: nothing is visible before its references are, and whoever waits for them is always woken."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambdas.ingest.gate import NAMED_AT_MOST
from nixcache.store_path import HashPart, StorePath
from protocol.keys import ProvenanceKey, StagingNarInfoKey, WaitingKey
from protocol.verdicts import Duplicate, Published, Rejected, Waiting
from protocol.wake import render
from tests.ingest.requests_log import Killed, Once, RequestsLog, die
from tests.ingest.store_objects import Builder, StoreObject, store_path
from tests.ingest.world import ALICE, BOB, KEY, World, connect, sqs_event

PUBLISHED = Published((KEY.name,))


def _waiting_keys(world: World) -> list[str]:
    return world.keys(world.settings.ledger_bucket, "waiting/")


def test_a_submission_waits_for_its_references_and_says_for_which(world: World, builder: Builder) -> None:
    present, one, two = builder.build("present"), builder.build("one"), builder.build("two")
    top = builder.build("top", [present, one, two])
    world.submit(present)
    world.submit(top)
    world.run()
    assert world.verdict(top.path) == Waiting(tuple(sorted((one.path, two.path))))
    assert world.published(top.path) is None
    assert world.keys(world.settings.cache_bucket, "nar/") == [
        f"nar/{present.narinfo.file_hash.nix32}.nar.zst" if present.narinfo.file_hash else ""
    ]


def test_who_waits_is_woken_and_leaves_nothing_behind(world: World, builder: Builder) -> None:
    one, two = builder.build("one"), builder.build("two")
    top = builder.build("top", [one, two])
    world.submit(top, BOB)
    world.run()
    world.submit(two)
    world.run()
    assert world.published(top.path) is None
    world.submit(one)
    world.run()
    assert world.verdict(top.path, BOB) == PUBLISHED
    assert _waiting_keys(world) == []
    world.check_cache()


def test_a_long_chain_that_arrives_backwards(world: World, builder: Builder) -> None:
    """Each link is published once, and wakes the next one and nobody else."""
    chain: list[StoreObject] = []
    for number in range(25):  # 500 links stand in tests/concurrency, in memory
        chain.append(builder.build(f"link-{number}", chain[-1:]))
    clients = connect(world.aws)
    log = RequestsLog(clients)
    container = world.container(clients)
    for thing in reversed(chain):
        world.submit(thing)
        for body in world.take_messages():
            assert container(sqs_event(body)) == []
    world.run(container)
    assert [world.verdict(thing.path) for thing in chain] == [PUBLISHED] * len(chain)
    assert _waiting_keys(world) == []
    assert log.operations.count("CopyObject") == len(chain)
    assert log.operations.count("SendMessageBatch") == len(chain) - 1
    world.check_cache()


@pytest.mark.parametrize("order", [(3, 1, 2, 0), (3, 2, 0, 1), (1, 3, 0, 2), (2, 1, 0, 3)])
def test_a_diamond_in_any_order(world: World, builder: Builder, order: tuple[int, ...]) -> None:
    bottom = builder.build("bottom")
    left, right = builder.build("left", [bottom]), builder.build("right", [bottom])
    things = [bottom, left, right, builder.build("top", [left, right])]
    container = world.container()
    for position in order:
        world.submit(things[position], BOB if position % 2 else ALICE)
        world.run(container)
    for position, thing in enumerate(things):
        assert world.verdict(thing.path, BOB if position % 2 else ALICE) == PUBLISHED
    assert _waiting_keys(world) == []
    world.check_cache()


@pytest.mark.parametrize("moment", range(7))
def test_a_reference_that_is_published_meanwhile(world: World, builder: Builder, moment: int) -> None:
    """I6: before, between and after the waiter's own requests, no wake-up is lost and the result ends final.

    The waiter's requests: its narinfo, whether it is published, the look-up, the marker, the result, the second look.
    """
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(leaf)
    leaf_messages = world.take_messages()
    world.submit(top)
    top_messages = world.take_messages()
    clients = connect(world.aws)

    def publish_and_wake(number: int, _: str) -> None:
        if number == moment and leaf_messages:
            assert world.container()(sqs_event(*leaf_messages)) == []
            leaf_messages.clear()
            world.run()  # the wake-up, if there is one, is handled at once by another container

    RequestsLog(clients, before=publish_and_wake)
    assert world.container(clients)(sqs_event(*top_messages)) == []
    publish_and_wake(moment, "")
    assert leaf_messages == []
    assert world.verdict(top.path) == PUBLISHED
    assert world.published(top.path) is not None
    world.check_cache()


def test_a_replaced_submission_is_judged_as_it_is_now(world: World, builder: Builder) -> None:
    """A wake-up names no version: what the builder says now is what counts, and what its result is about."""
    leaf = builder.build("leaf")
    bad, good = builder.build("top", [leaf], text="bad"), builder.build("top", [leaf], text="good")
    world.submit(bad.claiming(nar_hash=leaf.narinfo.nar_hash))
    world.run()
    version_id = world.submit(good)
    world.take_messages()  # the event of the new one comes late
    world.submit(leaf)
    world.run()
    assert world.result(good.path).version_id == version_id
    assert world.verdict(good.path) == PUBLISHED


def test_a_submission_that_expired_while_it_waited_is_told_so(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(top)
    world.run()
    world.admin.s3.delete_object(
        Bucket=world.settings.staging_bucket, Key=str(StagingNarInfoKey(ALICE, top.path.hash_part))
    )
    world.submit(leaf)
    world.run()
    verdict = world.verdict(top.path)
    assert isinstance(verdict, Rejected)
    assert verdict.code == "narinfo-missing"


def test_a_marker_that_outlived_its_submission_changes_no_verdict(world: World, builder: Builder) -> None:
    """I6: a crash between marker and second look leaves one; the submission is published, and expires in staging."""
    leaf, top = builder.build("leaf"), builder.build("top")
    world.submit(top, BOB)
    world.run()
    marker = WaitingKey(leaf.path.hash_part, BOB, top.path.hash_part)
    for left in (marker, ProvenanceKey(leaf.path.hash_part)):  # which announces that somebody waits
        world.admin.s3.put_object(Bucket=world.settings.ledger_bucket, Key=str(left))
    world.admin.s3.delete_object(
        Bucket=world.settings.staging_bucket, Key=str(StagingNarInfoKey(BOB, top.path.hash_part))
    )
    world.submit(leaf)
    world.run()
    assert world.verdict(top.path, BOB) == PUBLISHED
    assert _waiting_keys(world) == []


def test_a_duplicate_wakes_too(world: World, builder: Builder) -> None:
    """I6: the publisher may have died between its publication and the wake-up."""
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(top)
    world.run()
    world.submit(leaf)
    messages = world.take_messages()
    clients = connect(world.aws)

    def die(_: int, operation: str) -> None:
        if operation == "ListObjectsV2":
            raise ConnectionError

    RequestsLog(clients, before=die)
    assert world.container(clients)(sqs_event(*messages)) == messages
    assert world.published(leaf.path) is not None
    world.submit(leaf, BOB)
    world.run()
    assert world.verdict(leaf.path, BOB) == Duplicate()
    assert world.verdict(top.path) == PUBLISHED


def test_many_waiters_are_woken_page_by_page(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    tops = [builder.build(f"top-{number}", [leaf]) for number in range(13)]
    for top in tops:
        world.submit(top)
    world.run()
    clients = connect(world.aws)
    hooks: Any = clients.s3.meta.events
    hooks.register("provide-client-params.s3.ListObjectsV2", lambda params, **_: {**params, "MaxKeys": 6})
    log = RequestsLog(clients)
    world.submit(leaf)
    assert world.container(clients)(sqs_event(*world.take_messages())) == []
    assert log.operations.count("ListObjectsV2") == 3
    assert log.operations.count("SendMessageBatch") == 3
    assert _waiting_keys(world) == []
    wakes = world.take_messages()
    assert {json.loads(wake)["submission"] for wake in wakes} == {f"alice/{top.path.hash_part}.narinfo" for top in tops}
    assert world.container()(sqs_event(*wakes)) == []
    assert {world.verdict(top.path) for top in tops} == {PUBLISHED}


def test_a_reference_of_another_name_is_not_there(world: World, builder: Builder) -> None:
    """I4: a client refuses a narinfo whose name is not the one that it asked for."""
    leaf = builder.build("leaf")
    world.submit(leaf)
    renamed = StorePath(leaf.path.hash_part, "stone")
    top = builder.build("top", [leaf]).claiming(references=(renamed,))
    world.submit(top)
    world.run()
    verdict = world.verdict(top.path)
    assert isinstance(verdict, Rejected)
    assert (verdict.code, verdict.field) == ("narinfo-malformed", "References")
    assert leaf.path.base_name in verdict.problem
    assert _waiting_keys(world) == []  # or each submission of the leaf would have it judged again


def test_who_waits_for_a_name_is_told_when_the_hash_part_goes_to_another(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    renamed = StorePath(leaf.path.hash_part, "stone")
    top = builder.build("top", [leaf]).claiming(references=(renamed,))
    world.submit(top)
    world.run()
    assert world.verdict(top.path) == Waiting((renamed,))
    world.submit(leaf)
    world.run()
    assert isinstance(world.verdict(top.path), Rejected)
    assert _waiting_keys(world) == []


def test_very_many_references_are_named_up_to_a_limit(world: World, builder: Builder) -> None:
    """A narinfo with thousands of references that nobody has costs a bounded number of requests, and one marker."""
    nowhere = tuple(sorted(store_path("nowhere", str(number)) for number in range(1000)))
    top = builder.build("top").claiming(references=nowhere)
    clients = connect(world.aws)
    log = RequestsLog(clients)
    world.submit(top)
    world.run(world.container(clients))
    verdict = world.verdict(top.path)
    assert isinstance(verdict, Waiting)
    assert verdict.missing == nowhere[:NAMED_AT_MOST]
    assert _waiting_keys(world) == [str(WaitingKey(nowhere[0].hash_part, ALICE, top.path.hash_part))]
    assert len(log.operations) < NAMED_AT_MOST + 10


def _overdue(world: World) -> None:
    """Let the time go on until whoever has waited, has waited long enough."""
    later = timedelta(seconds=world.settings.max_waiting_seconds + 10)
    world.now = lambda: datetime.now(UTC) + later


def _wake(world: World, thing: StoreObject) -> None:
    """Wake it as the sweeper does."""
    assert world.container()(sqs_event(render(StagingNarInfoKey(ALICE, thing.path.hash_part)))) == []


def test_who_has_waited_long_enough_is_told_for_what_and_leaves_the_rest_as_it_is(
    world: World, builder: Builder
) -> None:
    present, one, two = (builder.build(name) for name in ("present", "one", "two"))
    world.submit(present)
    top = builder.build("top", [present, one, two])
    world.submit(top)
    world.run()
    world.now = lambda: datetime.now(UTC) + timedelta(seconds=world.settings.max_waiting_seconds - 60)
    _wake(world, top)
    assert world.verdict(top.path) == Waiting(tuple(sorted((one.path, two.path))))
    _overdue(world)
    _wake(world, top)
    verdict = world.verdict(top.path)
    assert isinstance(verdict, Rejected)
    assert (verdict.code, verdict.field) == ("references-missing", "References")
    assert [thing.path.base_name in verdict.problem for thing in (present, one, two)] == [False, True, True]
    assert world.published(top.path) is None


def test_who_gave_up_waiting_is_revived_by_submitting_again(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(top)
    world.run()
    _overdue(world)
    _wake(world, top)
    assert isinstance(world.verdict(top.path), Rejected)
    world.now = lambda: datetime.now(UTC)
    version_id = world.submit(top)
    world.run()
    assert (world.result(top.path).version_id, world.verdict(top.path)) == (version_id, Waiting((leaf.path,)))
    world.submit(leaf)
    world.run()
    assert world.verdict(top.path) == PUBLISHED
    assert _waiting_keys(world) == []


def test_a_reference_that_comes_too_late_is_not_too_late(world: World, builder: Builder) -> None:
    """As long as the upload is in staging: nothing would be gained by refusing it."""
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(top)
    world.run()
    _overdue(world)
    _wake(world, top)
    assert isinstance(world.verdict(top.path), Rejected)
    world.submit(leaf)
    world.run()
    assert world.verdict(top.path) == PUBLISHED


def test_a_submission_that_was_overdue_when_it_came_leaves_no_marker(world: World, builder: Builder) -> None:
    """A queue that stood still for weeks is no reason to wait for weeks more."""
    world.submit(builder.build("top", [builder.build("leaf")]))
    _overdue(world)
    world.run()
    assert _waiting_keys(world) == []
    assert world.keys(world.settings.ledger_bucket, "provenance/") == []


def _listings(world: World, thing: StoreObject) -> int:
    """Submit it; return how often its publisher lists waiters."""
    clients = connect(world.aws)
    log = RequestsLog(clients)
    world.submit(thing)
    (message,) = world.take_messages()
    assert world.container(clients)(sqs_event(message)) == []
    assert world.verdict(thing.path) == PUBLISHED
    return log.operations.count("ListObjectsV2")


def _announcement(world: World, hash_part: HashPart) -> bytes:
    key = str(ProvenanceKey(hash_part))
    return world.admin.s3.get_object(Bucket=world.settings.ledger_bucket, Key=key)["Body"].read()


def test_waiters_are_looked_for_only_where_somebody_has_announced_himself(world: World, builder: Builder) -> None:
    lonely, wanted = builder.build("lonely"), builder.build("wanted")
    top = builder.build("top", [wanted])
    world.submit(top)
    world.run()
    assert _announcement(world, wanted.path.hash_part) == b""
    assert _listings(world, lonely) == 0
    assert _listings(world, wanted) == 1
    assert world.provenance(wanted.path).predicate["builder"] == "alice", "it stands in the announcement's place"
    world.run()
    assert world.verdict(top.path) == PUBLISHED


def test_an_announcement_comes_too_late_for_what_is_published(world: World, builder: Builder) -> None:
    """Provenance is never written over: the second look sees the publication."""
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(leaf)
    leaf_messages = world.take_messages()
    world.submit(top)
    top_messages = world.take_messages()
    clients = connect(world.aws)
    Once(clients, "PutObject", "provenance/", lambda: world.container()(sqs_event(*leaf_messages)))
    assert world.container(clients)(sqs_event(*top_messages)) == []
    assert world.verdict(top.path) == PUBLISHED
    assert world.provenance(leaf.path).predicate["builder"] == "alice"


@pytest.mark.parametrize(
    ("prefix", "markers"), [("provenance/", 0), ("waiting/", 0), ("results/", 1)], ids=["announce", "marker", "result"]
)
def test_a_waiter_may_die_anywhere(world: World, builder: Builder, prefix: str, markers: int) -> None:
    """I6: the reference is published before the waiter is delivered again; and no marker is left lying unannounced."""
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(top)
    messages = world.take_messages()
    clients = connect(world.aws)
    Once(clients, "PutObject", prefix, die)
    with pytest.raises(Killed):
        world.container(clients)(sqs_event(*messages))
    assert len(_waiting_keys(world)) == markers
    assert _listings(world, leaf) == (prefix != "provenance/")
    world.run()
    assert (world.published(top.path) is not None) == bool(markers), "whoever has left a marker is woken"
    assert world.container()(sqs_event(*messages)) == []
    assert world.verdict(top.path) == PUBLISHED
    assert _waiting_keys(world) == []
    assert world.provenance(leaf.path).predicate["builder"] == "alice"


@pytest.mark.parametrize("number", [1, 2])
def test_a_publisher_may_die_between_the_announcement_and_its_provenance(
    world: World, builder: Builder, number: int
) -> None:
    """I6: its first write finds the announcement; the second one takes its place, and only then somebody is woken."""
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(top)
    world.run()
    world.submit(leaf)
    messages = world.take_messages()
    clients = connect(world.aws)
    Once(clients, "PutObject", "provenance/", die, number=number)
    with pytest.raises(Killed):
        world.container(clients)(sqs_event(*messages))
    assert _announcement(world, leaf.path.hash_part) == b""
    assert world.container()(sqs_event(*messages)) == []
    world.run()
    assert world.verdict(top.path) == PUBLISHED
    assert world.provenance(leaf.path).predicate["builder"] == "alice"


def test_two_deliveries_of_a_publisher_write_one_provenance(world: World, builder: Builder) -> None:
    """I6: both have found the announcement; the slower one comes again, and finds what the other wrote."""
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(top)
    world.run()
    version_id = world.submit(leaf)
    world.take_messages()
    event = sqs_event(world.event(leaf.path, version_id))
    clients = connect(world.aws)
    Once(clients, "PutObject", "provenance/", lambda: world.container()(event), number=2)
    assert len(world.container(clients)(event)) == 1
    written = _announcement(world, leaf.path.hash_part)
    assert world.container(clients)(event) == []
    assert _announcement(world, leaf.path.hash_part) == written
    world.run()
    assert world.verdict(top.path) == PUBLISHED
