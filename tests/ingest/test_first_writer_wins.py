"""I3: what is published first stays, whoever comes later, and whoever races."""

from __future__ import annotations

import pytest

from nixcache.compression import Compression
from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.store_path import StorePath
from protocol.keys import BuilderName, CacheListingKey, ProvenanceKey
from protocol.verdicts import Conflict, Duplicate, Published
from tests.ingest.requests_log import RequestsLog, answer
from tests.ingest.store_objects import Builder, StoreObject, pack
from tests.ingest.world import ALICE, BOB, KEY, World, connect, sqs_event
from tests.nixcache.nar_model import File
from tests.nixcache.self_reference import addressed


def _visible(world: World, thing: StoreObject) -> list[bytes]:
    """Return what readers and administrators see of a store path."""
    places = [
        (world.settings.cache_bucket, f"{thing.path.hash_part}.narinfo"),
        (world.settings.cache_bucket, str(CacheListingKey(thing.path.hash_part))),
        (world.settings.ledger_bucket, str(ProvenanceKey(thing.path.hash_part))),
    ]
    return [world.admin.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for bucket, key in places]


@pytest.mark.parametrize("submitter", [ALICE, BOB], ids=str)
def test_the_same_object_again_is_a_duplicate(world: World, builder: Builder, submitter: BuilderName) -> None:
    thing = builder.build("leaf")
    world.submit(thing)
    world.run()
    before = _visible(world, thing)
    world.submit(thing, submitter)
    world.run()
    assert world.verdict(thing.path, submitter) == Duplicate()
    assert _visible(world, thing) == before


def test_other_bytes_are_a_conflict(world: World, builder: Builder) -> None:
    first, second = builder.build("leaf", text="first"), builder.build("leaf", text="second")
    world.submit(first)
    world.run()
    before = _visible(world, first)
    world.submit(second, BOB)
    world.run()
    assert world.verdict(first.path, BOB) == Conflict(first.narinfo.nar_hash, second.narinfo.nar_hash)
    assert world.verdict(first.path, ALICE) == Published((KEY.name,))
    assert _visible(world, first) == before


def test_other_references_are_a_conflict(world: World, builder: Builder) -> None:
    """References are dropped by the liar before signing: the same bytes, another closure."""
    leaf = builder.build("leaf")
    thing = builder.build("top", [leaf])
    world.submit(leaf)
    world.submit(thing)
    world.run()
    before = _visible(world, thing)
    world.submit(thing.claiming(references=()), BOB)
    world.run()
    assert world.verdict(thing.path, BOB) == Conflict(thing.narinfo.nar_hash, thing.narinfo.nar_hash)
    assert _visible(world, thing) == before


def test_another_content_address_is_a_conflict(world: World, builder: Builder) -> None:
    thing = builder.build_addressed("leaf")
    world.submit(thing)
    world.run()
    before = _visible(world, thing)
    world.submit(thing.claiming(ca=ContentAddress(ContentAddressMethod.FLAT, thing.narinfo.nar_hash)), BOB)
    world.run()
    assert isinstance(world.verdict(thing.path, BOB), Conflict)
    assert _visible(world, thing) == before


@pytest.mark.parametrize("first_has_it", [True, False])
def test_an_absent_content_address_is_no_other_one(world: World, builder: Builder, *, first_has_it: bool) -> None:
    """Verifying itself leaves an address out where clients disagree on it, and gives one to each derivation."""
    with_it = builder.build_addressed("leaf")
    first, second = (with_it, with_it.claiming(ca=None))[:: 1 if first_has_it else -1]
    world.submit(first)
    world.run()
    before = _visible(world, first)
    world.submit(second, BOB)
    world.run()
    assert world.verdict(first.path, BOB) == Duplicate()
    assert _visible(world, first) == before


def test_a_publication_without_the_submitted_address_is_still_known_as_its_own(world: World) -> None:
    """I6: a container that dies before it has told the result leaves no conflict to the one that comes after it."""
    made = addressed(lambda part: File(f"/nix/store/{part}-x".encode()), offsets=False)
    thing = pack(made.path, made.nar, [made.path], Compression.ZSTD).claiming(ca=made.ca)
    world.submit(thing)
    messages = world.take_messages()
    assert world.container()(sqs_event(*messages)) == []
    published = world.published(made.path)
    assert published is not None
    assert published.ca is None
    assert world.container()(sqs_event(*messages)) == []
    assert world.verdict(made.path) == Published((KEY.name,))


def test_another_name_under_the_same_hash_part_is_a_conflict(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    world.submit(thing)
    world.run()
    before = _visible(world, thing)
    world.submit(thing.claiming(store_path=StorePath(thing.path.hash_part, "stone")), BOB)
    world.run()
    assert isinstance(world.verdict(thing.path, BOB), Conflict)
    assert _visible(world, thing) == before


@pytest.mark.parametrize("text", ["same", "other"])
@pytest.mark.parametrize("operation", ["CopyObject", "PutObject"])
def test_the_loser_of_a_race_leaves_no_trace(world: World, builder: Builder, operation: str, text: str) -> None:
    """I3: also the listing and the provenance stay the winner's. Both have verified before either commits."""
    mine, theirs = builder.build("leaf", text="same"), builder.build("leaf", text=text)
    world.submit(theirs, BOB)
    their_messages = world.take_messages()
    world.submit(mine, ALICE)
    my_messages = world.take_messages()
    clients = connect(world.aws)
    won: list[list[bytes]] = []

    def let_the_other_win(_: int, current: str) -> None:
        if current == operation and not won:
            won.append([])
            assert world.container()(sqs_event(*their_messages)) == []
            won[0] = _visible(world, theirs)

    RequestsLog(clients, before=let_the_other_win)
    assert world.container(clients)(sqs_event(*my_messages)) == []
    assert won == [_visible(world, theirs)]
    expected = Duplicate() if text == "same" else Conflict(theirs.narinfo.nar_hash, mine.narinfo.nar_hash)
    assert world.verdict(mine.path, ALICE) == expected
    assert world.verdict(theirs.path, BOB) == Published((KEY.name,))
    world.check_cache()


def test_a_write_under_way_is_no_verdict(world: World, builder: Builder) -> None:
    """S3 answers 409 while somebody else's conditional write is not decided: come again."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    clients = connect(world.aws)
    RequestsLog(
        clients, before=lambda _, name: answer(409, "ConditionalRequestConflict") if name == "PutObject" else None
    )
    assert world.container(clients)(sqs_event(*messages)) == messages
    assert world.keys(world.settings.ledger_bucket) == []
    assert world.container()(sqs_event(*messages)) == []
    assert world.verdict(thing.path) == Published((KEY.name,))
