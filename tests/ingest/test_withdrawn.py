"""What an operator took out of the cache stays out, whatever brings it again; a right build of it comes in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from lambdas.ingest.adapters.withdrawals import LedgerWithdrawals
from nixcache.errors import TransientError
from nixcache.hashes import Hash
from nixcache.store_path import StorePath
from protocol import wake
from protocol.keys import WITHDRAWN_KEY, CacheNarInfoKey, StagingNarInfoKey
from protocol.policy import BuilderRules, QuorumRule, SubmissionPolicy
from protocol.verdicts import AwaitingQuorum, Published, Rejected, Waiting
from protocol.withdrawn import KEPT_SECONDS, MAX_SIZE, Entry, Withdrawn
from tests.ingest.requests_log import Killed, Once, RequestsLog, answer, die, timeout
from tests.ingest.store_objects import Builder, StoreObject
from tests.ingest.world import ALICE, BOB, KEY, World, connect, sqs_event

AT = datetime(2026, 11, 23, tzinfo=UTC)
PUBLISHED = Published((KEY.name,))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds by which containers know how old their list is."""
    now = [0.0]
    monkeypatch.setattr("lambdas.ingest.wiring.LedgerWithdrawals", partial(LedgerWithdrawals, monotonic=lambda: now[0]))
    return now


def _write(world: World, data: bytes) -> None:
    world.admin.s3.put_object(Bucket=world.settings.ledger_bucket, Key=WITHDRAWN_KEY, Body=data)


def _entry(thing: StoreObject, *, nar_hash: Hash | None = None) -> Entry:
    return Entry(thing.path.hash_part, nar_hash or thing.narinfo.nar_hash, AT)


def _delete(world: World, path: StorePath) -> None:
    world.admin.s3.delete_object(Bucket=world.settings.cache_bucket, Key=str(CacheNarInfoKey(path.hash_part)))


def _withdraw(world: World, *things: StoreObject, traces: tuple[StoreObject, ...] = ()) -> None:
    """Do what `assayctl withdraw` does, in its order: what references others has to be given first."""
    entries = [_entry(thing) for thing in things] + [Entry(thing.path.hash_part, None, AT) for thing in traces]
    _write(world, Withdrawn().adding(entries).to_json())
    for thing in (*traces, *things):
        _delete(world, thing.path)


def _is_withdrawn(world: World, thing: StoreObject, builder: Any = ALICE) -> bool:  # noqa: ANN401
    verdict = world.verdict(thing.path, builder)
    return isinstance(verdict, Rejected) and verdict.code == "withdrawn" and world.published(thing.path) is None


def test_a_redelivered_event_brings_nothing_back(world: World, builder: Builder) -> None:
    """The queue delivers at least once, and for two weeks from among the dead letters."""
    bad = builder.build("leaf")
    version_id = world.submit(bad)
    world.run()
    _withdraw(world, bad)
    assert world.container()(sqs_event(world.event(bad.path, version_id))) == []
    assert world.published(bad.path) is None
    assert world.verdict(bad.path) == PUBLISHED, "a result of one version never goes backwards"


def test_an_honest_builder_that_still_has_it_is_refused_and_told(world: World, builder: Builder) -> None:
    bad = builder.build("leaf")
    world.submit(bad)
    world.run()
    _withdraw(world, bad)
    top = builder.build("top", [bad])
    for thing in (bad, top):
        world.submit(thing, BOB)
    world.run()
    assert _is_withdrawn(world, bad, BOB)
    assert world.verdict(top.path, BOB) == Waiting((bad.path,)), "I4: its reference is nowhere"
    verdict = world.verdict(bad.path, BOB)
    assert isinstance(verdict, Rejected)
    assert (verdict.field, "readmit" in verdict.remedy) == ("NarHash", True)


def test_a_right_build_of_the_path_comes_in_and_wakes_who_waits(world: World, builder: Builder) -> None:
    """I3 forbids to replace what is published, and nothing is. Its provenance goes over the old one."""
    bad, right = builder.build("leaf", text="bad"), builder.build("leaf", text="right")
    top = builder.build("top", [bad])
    for thing in (bad, top):
        world.submit(thing)
        world.run()
    _withdraw(world, bad, traces=(top,))
    world.submit(top, BOB)
    world.run()
    world.submit(right, BOB)
    world.run()
    assert world.verdict(right.path, BOB) == world.verdict(top.path, BOB) == PUBLISHED
    assert world.provenance(right.path).predicate["builder"] == "bob"
    world.check_cache()


def test_a_crash_before_the_provenance_of_the_right_build(world: World, builder: Builder) -> None:
    """The provenance of what was withdrawn lies there: nobody may take it for that of what is published."""
    bad, right = builder.build("leaf", text="bad"), builder.build("leaf", text="right")
    world.submit(bad)
    world.run()
    _withdraw(world, bad)
    version_id = world.submit(right, BOB)
    world.take_messages()
    clients = connect(world.aws)
    Once(clients, "PutObject", "provenance/", die)
    with pytest.raises(Killed):
        world.container(clients)(sqs_event(world.event(right.path, version_id, BOB)))
    another = builder.build("leaf", text="another")
    world.submit(another)
    contradicting = world.take_messages()
    assert world.container()(sqs_event(*contradicting)) == contradicting, "nobody knows yet whom to tell"
    assert world.container()(sqs_event(world.event(right.path, version_id, BOB), *contradicting)) == []
    assert world.result(right.path, BOB).disputed_by == (another.narinfo.nar_hash,)
    assert world.provenance(right.path).predicate["builder"] == "bob"


def test_a_crash_before_the_provenance_of_what_its_builder_replaced_since(world: World, builder: Builder) -> None:
    """The wake-up finds another version in staging, and the publication's own among those before it."""
    bad, right = builder.build("leaf", text="bad"), builder.build("leaf", text="right")
    world.submit(bad)
    world.run()
    _withdraw(world, bad)
    version_id = world.submit(right, BOB)
    world.take_messages()
    clients = connect(world.aws)
    Once(clients, "PutObject", "provenance/", die)
    with pytest.raises(Killed):
        world.container(clients)(sqs_event(world.event(right.path, version_id, BOB)))
    world.submit(builder.build("leaf", text="another"), BOB)
    world.take_messages()
    assert world.container()(sqs_event(wake.render(StagingNarInfoKey(BOB, right.path.hash_part)))) == []
    assert world.provenance(right.path).predicate["builder"] == "bob"


def test_old_votes_bring_nothing_back(world: World, builder: Builder) -> None:
    """One builder's vote was there before; the second would make the quorum."""
    rules = {name: BuilderRules(trust_group=str(name), max_nar_size=1024**3) for name in (ALICE, BOB)}
    world.policy = SubmissionPolicy(rules, (QuorumRule(("*",), 2),))
    bad = builder.build("leaf")
    world.submit(bad)
    world.run()
    assert world.verdict(bad.path) == AwaitingQuorum(1, 2)
    _withdraw(world, bad)
    world.submit(bad, BOB)
    world.run()
    assert _is_withdrawn(world, bad, BOB)
    assert world.keys(world.settings.ledger_bucket, "votes/") == [f"votes/{bad.path.hash_part}/alice.json"]


def test_what_waited_meanwhile_is_refused_when_it_is_woken(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    bad = builder.build("top", [leaf])
    world.submit(bad)
    world.run()
    _withdraw(world, bad)
    world.submit(leaf)
    world.run()
    assert _is_withdrawn(world, bad)


def test_what_was_withdrawn_while_it_was_verified_is_not_published(
    world: World, builder: Builder, clock: list[float]
) -> None:
    """A verification takes minutes. The list is asked once more at the last moment, and may be older than the first."""
    bad = builder.build("leaf")
    world.submit(bad)
    messages = world.take_messages()

    def withdraw() -> None:
        _write(world, Withdrawn((_entry(bad),)).to_json())
        clock[0] += KEPT_SECONDS

    clients = connect(world.aws)
    Once(clients, "CopyObject", "nar/", withdraw)
    assert world.container(clients)(sqs_event(*messages)) == []
    assert _is_withdrawn(world, bad)


def test_whoever_has_seen_a_reference_lately_looks_again(world: World, builder: Builder, clock: list[float]) -> None:
    """I4: presence is remembered for five minutes, and what was withdrawn only as a referrer, is nowhere as well."""
    bad = builder.build("leaf")
    middle = builder.build("middle", [bad])
    container = world.container()
    for thing in (bad, middle, builder.build("first", [middle])):
        world.submit(thing)
        world.run(container)
    _withdraw(world, bad, traces=(middle,))
    # The list is old enough to be read again; what the gate remembers is not.
    clock[0] += KEPT_SECONDS
    top = builder.build("top", [middle])
    world.submit(top)
    messages = world.take_messages()
    assert container(sqs_event(*messages)) == messages
    assert world.published(top.path) is None
    assert world.container()(sqs_event(*messages)) == []
    assert world.verdict(top.path) == Waiting((middle.path,))


def test_the_list_is_read_once_in_five_minutes(world: World, builder: Builder) -> None:
    bad = builder.build("leaf")
    clients = connect(world.aws)
    log = RequestsLog(clients)
    clock = [1000.0]
    withdrawals = LedgerWithdrawals(clients.s3, world.settings.ledger_bucket, monotonic=lambda: clock[0])
    assert withdrawals.current() == withdrawals.current() == Withdrawn(), "no list: nothing is withdrawn"
    assert log.operations == ["GetObject"]
    _write(world, Withdrawn((_entry(bad),)).to_json())
    clock[0] += KEPT_SECONDS - 1
    assert not withdrawals.current().names(bad.path.hash_part)
    clock[0] += 1
    assert withdrawals.current().refuses(bad.path.hash_part, bad.narinfo.nar_hash)
    _write(world, b"damaged")
    clock[0] += KEPT_SECONDS
    for _ in range(2):
        with pytest.raises(TransientError):  # what was kept is not used any longer
            withdrawals.current()


@pytest.mark.parametrize(
    "data",
    [b"", b'{"schema": 1}', b" " * (MAX_SIZE + 1)],
    ids=["empty", "no entries", "large"],
)
def test_without_a_list_that_can_be_read_nothing_is_published(
    world: World, builder: Builder, data: bytes, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """It fails closed, and says so where an alarm looks; I6: when the list is mended, all goes on."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    _write(world, data)
    container = world.container()
    assert container(sqs_event(*messages)) == messages
    assert world.keys(world.settings.cache_bucket) == []
    (line,) = [line for line in log_lines() if line["message"] == "back to the queue"]
    assert (line["level"], line["PutBack"], WITHDRAWN_KEY in line["problem"]) == ("ERROR", 1, True)
    _write(world, Withdrawn().to_json())
    assert container(sqs_event(*messages)) == []
    assert world.verdict(thing.path) == PUBLISHED


@pytest.mark.parametrize("fault", [answer(403, "AccessDenied"), timeout()], ids=["refused", "silent"])
def test_a_list_that_aws_does_not_give_out_is_not_an_empty_one(world: World, builder: Builder, fault: Any) -> None:  # noqa: ANN401
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    clients = connect(world.aws)

    def at(number: int, _: str) -> Any:  # noqa: ANN401
        if number != 2:  # narinfo, is it published
            return None
        if isinstance(fault, Exception):
            raise fault
        return fault

    RequestsLog(clients, before=at)
    assert world.container(clients)(sqs_event(*messages)) == messages
    assert world.published(thing.path) is None


def test_uploads_that_an_operator_removed_are_not_published(world: World, builder: Builder) -> None:
    """As the runbook has it for a builder whose credentials leaked: staging is versioned, and events name a version."""
    queued, leaf = builder.build("queued"), builder.build("leaf")
    waiting = builder.build("waiting", [leaf])
    world.submit(waiting)
    world.run()
    version_id = world.submit(queued)
    world.take_messages()
    for key in world.keys(world.settings.staging_bucket, ALICE.staging_prefix):
        world.admin.s3.delete_object(Bucket=world.settings.staging_bucket, Key=key)
    world.submit(leaf, BOB)
    world.run()
    assert world.container()(sqs_event(world.event(queued.path, version_id))) == []
    assert world.published(queued.path) is world.published(waiting.path) is None
    assert (_code(world, queued), _code(world, waiting)) == ("nar-missing", "narinfo-missing")


def _code(world: World, thing: StoreObject) -> str:
    verdict = world.verdict(thing.path)
    assert isinstance(verdict, Rejected)
    return verdict.code
