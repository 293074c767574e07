"""I3 and I6: where two builders disagree, the first publication stays, and both of them come to know."""

from __future__ import annotations

import json

import pytest

from protocol.keys import CacheNarInfoKey, NarFile, OrphanKey, ProvenanceKey, ResultKey
from protocol.results import MAX_DISPUTES
from protocol.verdicts import Conflict, Duplicate, Published
from tests.ingest.requests_log import Killed, Once, die
from tests.ingest.store_objects import Builder, StoreObject
from tests.ingest.world import ALICE, BOB, CAROL, KEY, World, connect, sqs_event

PUBLISHED = Published((KEY.name,))


@pytest.fixture
def pair(builder: Builder) -> tuple[StoreObject, StoreObject]:
    """Two objects that claim one path."""
    return builder.build("leaf", text="mine"), builder.build("leaf", text="theirs")


def _hashes(*things: StoreObject) -> tuple[object, ...]:
    return tuple(thing.narinfo.nar_hash for thing in things)


def test_both_builders_see_it_and_operators_count_it(
    world: World, pair: tuple[StoreObject, StoreObject], capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = pair
    world.submit(mine)
    world.run()
    world.submit(theirs, BOB)
    world.run()
    assert world.verdict(mine.path, BOB) == Conflict(mine.narinfo.nar_hash, theirs.narinfo.nar_hash)
    assert world.result(mine.path, BOB).disputed_by == ()
    assert world.verdict(mine.path) == PUBLISHED
    assert world.result(mine.path).disputed_by == _hashes(theirs)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["verdict"] for line in lines if "Submissions" in line].count("conflict") == 1
    world.check_cache()


def test_neither_learns_who_the_other_is(world: World, pair: tuple[StoreObject, StoreObject]) -> None:
    """I8."""
    mine, theirs = pair
    world.submit(mine)
    world.run()
    world.submit(theirs, BOB)
    world.run()
    for reader, other in ((ALICE, b"bob"), (BOB, b"alice")):
        key = str(ResultKey(reader, mine.path.hash_part))
        document = world.admin.s3.get_object(Bucket=world.settings.ledger_bucket, Key=key)["Body"].read()
        assert other not in document


def test_each_object_is_named_once_and_no_more_than_so_many(world: World, builder: Builder) -> None:
    """I7: the document stays small, however often somebody submits."""
    mine = builder.build("leaf")
    world.submit(mine)
    world.run()
    others = [builder.build("leaf", text=str(number)) for number in range(MAX_DISPUTES + 1)]
    container = world.container()
    for other in (others[0], *others):
        world.submit(other, BOB)
        world.run(container)
        assert world.verdict(mine.path, BOB) == Conflict(mine.narinfo.nar_hash, other.narinfo.nar_hash)
    assert world.result(mine.path).disputed_by == _hashes(*others[:MAX_DISPUTES])


def test_a_dispute_about_references_names_the_same_hash(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(leaf)
    world.submit(top)
    world.run()
    world.submit(top.claiming(references=()), BOB)
    world.run()
    same = top.narinfo.nar_hash
    assert world.verdict(top.path, BOB) == Conflict(same, same)
    assert world.result(top.path).disputed_by == (same,)


def test_a_builder_that_contradicts_itself_is_told_once(world: World, pair: tuple[StoreObject, StoreObject]) -> None:
    """Its newest result has both hashes: it is no dispute with anybody."""
    first, second = pair
    world.submit(first)
    world.run()
    version_id = world.submit(second)
    world.run()
    result = world.result(first.path)
    assert result.verdict == Conflict(first.narinfo.nar_hash, second.narinfo.nar_hash)
    assert (result.version_id, result.disputed_by) == (version_id, ())


def test_it_is_the_publisher_who_is_told_and_not_who_came_second(
    world: World, pair: tuple[StoreObject, StoreObject]
) -> None:
    mine, theirs = pair
    world = _open_to_carol(world)
    world.submit(mine)
    world.run()
    world.submit(mine, CAROL)
    world.run()
    world.submit(theirs, BOB)
    world.run()
    assert world.verdict(mine.path, CAROL) == Duplicate()
    assert world.result(mine.path, CAROL).disputed_by == ()
    assert world.result(mine.path).disputed_by == _hashes(theirs)


def _open_to_carol(world: World) -> World:
    world.policy = world.policy.open_to((ALICE, BOB, CAROL), world.settings.max_nar_size)
    return world


@pytest.mark.parametrize("moment", ["provenance/", "results/"])
def test_a_conflict_with_a_publication_that_nobody_has_told_of_yet(
    world: World, pair: tuple[StoreObject, StoreObject], moment: str
) -> None:
    """Its container died after the commit. Whoever comes again first, both are told in the end."""
    mine, theirs = pair
    version_id = world.submit(mine)
    world.take_messages()
    event = world.event(mine.path, version_id)
    clients = connect(world.aws)
    Once(clients, "PutObject", moment, die)
    with pytest.raises(Killed):
        world.container(clients)(sqs_event(event))
    world.submit(theirs, BOB)
    theirs_again = world.take_messages()
    container = world.container()
    # Who published it is written in the provenance alone: without it, the second has to come again.
    again = container(sqs_event(*theirs_again))
    assert bool(again) == (moment == "provenance/")
    conflict = Conflict(mine.narinfo.nar_hash, theirs.narinfo.nar_hash)
    assert world.verdict(mine.path, BOB) == conflict, "it is told its own at once"
    assert container(sqs_event(event, *again)) == []
    assert (world.verdict(mine.path), world.verdict(mine.path, BOB)) == (PUBLISHED, conflict)
    result = world.result(mine.path)
    assert (result.version_id, result.disputed_by) == (version_id, _hashes(theirs))


def test_an_announcement_is_no_provenance(world: World, builder: Builder) -> None:
    """Somebody waits for the path, its publisher has died, and a third disputes it: no wake-up is lost meanwhile."""
    mine, theirs = builder.build("leaf", text="mine"), builder.build("leaf", text="theirs")
    top = builder.build("top", [mine])
    world.submit(top)
    world.run()
    world.submit(mine)
    event = world.take_messages()
    clients = connect(world.aws)
    Once(clients, "PutObject", "provenance/", die)
    with pytest.raises(Killed):
        world.container(clients)(sqs_event(*event))
    world.submit(theirs, BOB)
    theirs_again = world.take_messages()
    container = world.container()
    assert container(sqs_event(*theirs_again)) == theirs_again
    world.run(container)
    assert world.verdict(top.path) == PUBLISHED, "the conflict has woken it: what it waits for is there"
    assert container(sqs_event(*event, *theirs_again)) == []
    assert world.result(mine.path).disputed_by == _hashes(theirs)
    assert world.provenance(mine.path).predicate["builder"] == "alice"


def test_what_nobody_submitted_can_be_contradicted(world: World, pair: tuple[StoreObject, StoreObject]) -> None:
    """The operator put it there, with no word of where it is from: there is nobody to tell."""
    imported, theirs = pair
    world.submit(imported)
    world.run()
    s3, key = world.admin.s3, str(CacheNarInfoKey(imported.path.hash_part))
    narinfo = s3.get_object(Bucket=world.settings.cache_bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=world.settings.cache_bucket, Key=key, Body=narinfo)
    for kept in world.keys(world.settings.ledger_bucket):
        s3.delete_object(Bucket=world.settings.ledger_bucket, Key=kept)
    world.submit(theirs, BOB)
    world.submit(imported, ALICE)
    world.run()
    assert world.verdict(theirs.path, BOB) == Conflict(imported.narinfo.nar_hash, theirs.narinfo.nar_hash)
    assert (world.verdict(theirs.path), world.result(theirs.path).disputed_by) == (Duplicate(), ())


@pytest.mark.parametrize("damage", [b"{}", b"garbage", b'{"payload": "e30=", "payloadType": "", "signatures": []}'])
def test_provenance_that_somebody_damaged_is_not_guessed_at(
    world: World, pair: tuple[StoreObject, StoreObject], damage: bytes
) -> None:
    mine, theirs = pair
    world.submit(mine)
    world.run()
    world.submit(theirs, BOB)
    messages = world.take_messages()
    s3, place = world.admin.s3, (world.settings.ledger_bucket, str(ProvenanceKey(mine.path.hash_part)))
    true = s3.get_object(Bucket=place[0], Key=place[1])["Body"].read()
    s3.put_object(Bucket=place[0], Key=place[1], Body=damage)
    assert world.container()(sqs_event(*messages)) == messages
    assert world.result(mine.path).disputed_by == ()
    s3.put_object(Bucket=place[0], Key=place[1], Body=true)
    assert world.container()(sqs_event(*messages)) == []
    assert world.result(mine.path).disputed_by == _hashes(theirs)


@pytest.mark.parametrize("text", ["theirs", "mine"])
def test_the_nar_that_lost_a_race_is_listed_for_collection(world: World, builder: Builder, text: str) -> None:
    """And only where it is another file than the winner's, which must never be collected."""
    mine, theirs = builder.build("leaf", text="mine"), builder.build("leaf", text=text)
    world.submit(mine)
    my_messages = world.take_messages()
    world.submit(theirs, BOB)
    their_messages = world.take_messages()
    clients = connect(world.aws)

    def win() -> None:
        assert world.container()(sqs_event(*their_messages)) == []

    Once(clients, "PutObject", f"{mine.path.hash_part}.narinfo", win)
    assert world.container(clients)(sqs_event(*my_messages)) == []
    published = world.published(mine.path)
    assert published is not None
    lost = {NarFile.parse_url(key) for key in world.keys(world.settings.cache_bucket, "nar/")}
    lost.remove(NarFile.parse_url(published.url))
    assert world.keys(world.settings.ledger_bucket, "orphans/") == [str(OrphanKey(file)) for file in lost]
    assert len(lost) == (text != "mine")
    if text == "mine":
        assert world.verdict(mine.path) == Duplicate()
    else:
        assert world.verdict(mine.path) == Conflict(theirs.narinfo.nar_hash, mine.narinfo.nar_hash)
        assert world.result(mine.path, BOB).disputed_by == _hashes(mine)
    assert world.verdict(mine.path, BOB) == PUBLISHED
    world.check_cache()
