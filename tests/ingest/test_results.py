"""I6: a builder always reads the newest verdict, in whatever order events come, and however often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.ingest.adapters.ledger import S3Ledger
from lambdas.ingest.adapters.staging import S3Staging
from lambdas.ingest.ports import KeptResult, Ledger, Staging
from lambdas.ingest.results_book import ATTEMPTS, ResultsBook
from nixcache.errors import TransientError
from nixcache.hashes import Hash
from protocol.keys import ResultKey, StagingNarInfoKey
from protocol.results import Result
from protocol.verdicts import (
    Against,
    AwaitingQuorum,
    Conflict,
    Duplicate,
    Published,
    Rejected,
    Verdict,
    Waiting,
)
from tests.ingest.requests_log import Killed, Once, die
from tests.ingest.store_objects import Builder, sha256, store_path
from tests.ingest.world import ALICE, BOB, KEY, World, connect, sqs_event

PUBLISHED = Published((KEY.name,))
PATH = store_path("leaf")
SUBMISSION = StagingNarInfoKey(ALICE, PATH.hash_part)
RESULT = ResultKey(ALICE, PATH.hash_part)
AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
REJECTED = Rejected("nar-missing", "It is gone.", "Upload it.", None, None)


def _result(version_id: str, verdict: Verdict) -> Result:
    return Result(submission=SUBMISSION, version_id=version_id, store_path=PATH, verdict=verdict, at=AT)


@pytest.mark.parametrize("order", [*permutations(range(3)), (2, 0, 2, 1, 0), (0, 2, 1, 2, 0, 1)])
@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (("garbage", "waiting", "true"), Published),
        (("true", "waiting", "garbage"), Rejected),
        (("garbage", "garbage", "waiting"), Waiting),
    ],
    ids=["published", "rejected", "waiting"],
)
def test_the_newest_version_has_the_last_word(
    world: World, builder: Builder, versions: Sequence[str], expected: type[Verdict], order: Sequence[int]
) -> None:
    """Also for versions that came within a second, of which S3's times tell no order."""
    true = builder.build("leaf")
    narinfos = {
        "true": true.narinfo.render(),
        "garbage": b"garbage",
        "waiting": builder.build("leaf", [builder.build("nowhere")]).narinfo.render(),
    }
    world.upload(f"{ALICE}/{true.narinfo.url}", true.file)
    version_ids = [world.upload(SUBMISSION, narinfos[version]) for version in versions]
    container = world.container()
    for position in order:
        assert container(sqs_event(world.event(PATH, version_ids[position]))) == []
    result = world.result(PATH)
    assert result.version_id == version_ids[-1]
    assert isinstance(result.verdict, expected)


def test_a_delivery_that_slept_does_not_say_waiting_of_what_is_published(world: World, builder: Builder) -> None:
    """It is the write itself that has a condition: the container dies before it can look a second time."""
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    version_id = world.submit(top)
    world.take_messages()
    event = world.event(top.path, version_id)
    clients = connect(world.aws)

    def publish_meanwhile() -> None:
        assert world.container()(sqs_event(event)) == []
        assert world.verdict(top.path) == Waiting((leaf.path,))
        world.submit(leaf)
        world.run()
        assert world.verdict(top.path) == PUBLISHED

    pause = Once(clients, "PutObject", "results/", publish_meanwhile)
    Once(clients, "GetObject", f"{leaf.path.hash_part}.narinfo", die, number=2)
    with pytest.raises(Killed):
        world.container(clients)(sqs_event(event))
    assert pause.seen == 1
    assert world.verdict(top.path) == PUBLISHED


def test_a_publication_that_slept_is_told_over_what_came_between(world: World, builder: Builder) -> None:
    """The other way round: a second delivery was rejected, as the NAR had gone; the first one publishes."""
    thing = builder.build("leaf")
    version_id = world.submit(thing)
    world.take_messages()
    event = world.event(thing.path, version_id)
    clients = connect(world.aws)

    def lose_the_nar() -> None:
        world.admin.s3.delete_object(Bucket=world.settings.staging_bucket, Key=f"{ALICE}/{thing.narinfo.url}")
        assert world.container()(sqs_event(event)) == []
        assert isinstance(world.verdict(thing.path), Rejected)

    Once(clients, "CopyObject", "nar/", lose_the_nar)
    assert world.container(clients)(sqs_event(event)) == []
    assert world.verdict(thing.path) == PUBLISHED


def test_an_old_event_whose_version_is_gone_changes_nothing(world: World, builder: Builder) -> None:
    """Lifecycle rules took the version; what it would be told is narinfo-missing, about another submission."""
    thing = builder.build("leaf")
    old = world.submit(thing)
    new = world.submit(thing)
    world.take_messages()
    assert world.container()(sqs_event(world.event(thing.path, new))) == []
    world.admin.s3.delete_object(Bucket=world.settings.staging_bucket, Key=str(SUBMISSION), VersionId=old)
    assert world.container()(sqs_event(world.event(thing.path, old))) == []
    assert (world.result(thing.path).version_id, world.verdict(thing.path)) == (new, PUBLISHED)


def test_what_is_told_of_an_expired_submission_ends_with_the_next_one(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(top)
    world.run()
    key = StagingNarInfoKey(ALICE, top.path.hash_part)
    world.admin.s3.delete_object(Bucket=world.settings.staging_bucket, Key=str(key))
    world.submit(leaf)
    world.run()
    result = world.result(top.path)
    assert isinstance(result.verdict, Rejected)
    assert (result.verdict.code, result.version_id) == ("narinfo-missing", "")
    version_id = world.submit(top)
    world.run()
    assert (world.result(top.path).version_id, world.verdict(top.path)) == (version_id, PUBLISHED)


def test_disputes_stay_whatever_is_written_over_them(world: World, builder: Builder) -> None:
    mine, theirs = builder.build("leaf"), builder.build("leaf", text="other")
    version_id = world.submit(mine)
    world.run()
    world.submit(theirs, BOB)
    world.run()
    disputed_by = (theirs.narinfo.nar_hash,)
    assert world.result(PATH).disputed_by == disputed_by
    assert world.container()(sqs_event(world.event(PATH, version_id))) == []
    assert (world.verdict(PATH), world.result(PATH).disputed_by) == (PUBLISHED, disputed_by)
    world.submit(mine)
    world.run()
    assert (world.verdict(PATH), world.result(PATH).disputed_by) == (Duplicate(), disputed_by)
    world.submit(mine, narinfo=b"garbage")
    world.run()
    assert isinstance(world.verdict(PATH), Rejected)
    assert world.result(PATH).disputed_by == disputed_by


@pytest.mark.parametrize("damage", [b"", b"{}", b"garbage"])
def test_a_result_that_somebody_damaged_is_not_guessed_at(world: World, builder: Builder, damage: bytes) -> None:
    """What it said may have been newer; the operator is told, and may delete it."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    ledger = world.settings.ledger_bucket
    world.admin.s3.put_object(Bucket=ledger, Key=str(RESULT), Body=damage)
    assert world.container()(sqs_event(*messages)) == messages
    assert world.admin.s3.get_object(Bucket=ledger, Key=str(RESULT))["Body"].read() == damage
    world.admin.s3.delete_object(Bucket=ledger, Key=str(RESULT))
    assert world.container()(sqs_event(*messages)) == []
    assert world.verdict(thing.path) == PUBLISHED


def _persistently(write: Callable[[], None]) -> None:
    """Do it again as the queue would."""
    for _ in range(20):
        try:
            return write()
        except TransientError:
            continue
    raise AssertionError("It never got its turn.")


def test_many_write_at_once(world: World) -> None:
    """Every version's verdict and every dispute at the same time: none is lost, and the newest verdict stays."""
    s3, settings = world.admin.s3, world.settings
    versions = [world.upload(SUBMISSION, b"") for _ in range(6)]
    book = ResultsBook(S3Ledger(s3, settings.ledger_bucket), S3Staging(s3, settings.staging_bucket))
    hashes = [sha256(bytes([number])) for number in range(4)]
    publication = _result(versions[0], PUBLISHED)

    def record(version_id: str) -> None:
        for verdict in (Waiting((PATH,)), Duplicate()):
            book.record(_result(version_id, verdict), likely_first=True)

    writes: list[Callable[[], None]] = [lambda v=version: record(v) for version in versions]  # type: ignore[misc]
    writes += [lambda h=nar_hash: book.dispute(publication, h) for nar_hash in hashes]  # type: ignore[misc]
    with ThreadPoolExecutor(len(writes)) as pool:
        list(pool.map(_persistently, writes))
    kept = world.result(PATH)
    assert (kept.version_id, kept.verdict) == (versions[-1], Duplicate())
    assert set(kept.disputed_by) == set(hashes)


def test_only_versions_of_the_very_key_are_versions(world: World) -> None:
    """Listing is by prefix: what a builder uploads under a longer key is no version of this one."""
    versions = [world.upload(SUBMISSION, b"x") for _ in range(3)]
    world.upload(f"{SUBMISSION}.narinfo", b"x")
    staging = S3Staging(world.admin.s3, world.settings.staging_bucket)
    assert staging.versions(SUBMISSION) == tuple(reversed(versions))


class Shelf:
    """A ledger and a staging bucket of one key: ``versions`` are there, the newest first."""

    def __init__(self, *versions: str, interrupt: Callable[[], None] = lambda: None) -> None:
        self.kept: list[Result] = []
        self.there = versions
        self.is_deleted = False
        self.interrupt = interrupt

    def narinfo(self, _: StagingNarInfoKey, version_id: str | None) -> object | None:
        assert version_id is None
        return None if self.is_deleted else object()

    def versions(self, _: StagingNarInfoKey) -> tuple[str, ...]:
        return self.there

    def result(self, _: ResultKey) -> KeptResult | None:
        kept = KeptResult(self.kept[-1], str(len(self.kept))) if self.kept else None
        self.interrupt()
        return kept

    def create_result(self, result: Result) -> bool:
        if self.kept:
            return False
        self.kept.append(result)
        return True

    def replace_result(self, result: Result, etag: str) -> bool:
        if etag != str(len(self.kept)):
            return False
        self.kept.append(result)
        return True

    @property
    def book(self) -> ResultsBook:
        shelf = cast("Any", self)
        return ResultsBook(cast("Ledger", shelf), cast("Staging", shelf))


ZERO, ONE = Hash.parse("sha256:" + "0" * 52), Hash.parse("sha256:" + "0" * 51 + "1")
NOT_YET: list[Verdict] = [
    Waiting((PATH,)),
    AwaitingQuorum(1, 3),
    AwaitingQuorum(2, 3),
    Conflict(ZERO, ONE, Against.VOTE),
]
DONE: list[Verdict] = [PUBLISHED, Duplicate(), Conflict(ZERO, ONE), Conflict(ZERO, ONE, Against.UPSTREAM)]


def _finality(verdict: Verdict) -> int:
    return 0 if verdict in NOT_YET else 1 if isinstance(verdict, Rejected) else 2


results = st.builds(_result, st.sampled_from("abcd"), st.sampled_from([*NOT_YET, REJECTED, *DONE]))


@given(st.lists(results, min_size=1, max_size=8), st.booleans(), st.data())
def test_in_any_order_the_newest_version_and_its_most_final_verdict_win(
    told: list[Result],
    likely_first: bool,  # noqa: FBT001 - drawn
    data: st.DataObject,
) -> None:
    """I6: S3's events come in any order; "d" is the newest version here."""
    shelf = Shelf("d", "c", "b", "a")
    for result in data.draw(st.permutations(told)):
        shelf.book.record(result, likely_first=likely_first)
    newest = max(result.version_id for result in told)
    kept = shelf.kept[-1]
    assert kept.version_id == newest
    assert _finality(kept.verdict) == max(_finality(r.verdict) for r in told if r.version_id == newest)
    steps = [(result.version_id, _finality(result.verdict)) for result in shelf.kept]
    assert steps == sorted(steps), "nothing was ever written backwards"


@given(st.lists(results, min_size=1, max_size=8), st.sets(st.sampled_from("abcd")))
def test_what_is_in_staging_no_more_is_never_told_over_what_is(told: list[Result], there: set[str]) -> None:
    """Also where lifecycle rules have taken every version that anybody tells of: who is done stays so."""
    shelf = Shelf(*sorted(there, reverse=True))
    for result in told:
        shelf.book.record(result, likely_first=True)
    remaining = {result.version_id for result in told} & there
    kept = shelf.kept[-1]
    if remaining:
        assert kept.version_id == max(remaining)
    finality = [_finality(result.verdict) for result in shelf.kept if result.version_id not in there]
    assert finality == sorted(finality)


@pytest.mark.parametrize("old", [*NOT_YET, REJECTED, *DONE], ids=lambda verdict: str(verdict.kind))
def test_who_waited_is_told_that_its_submission_is_gone_and_who_is_done_is_not(old: Verdict) -> None:
    shelf = Shelf("a")
    shelf.book.record(_result("a", old), likely_first=True)
    gone = replace(_result("", REJECTED), store_path=None)
    shelf.book.record(gone, likely_first=False)
    assert shelf.kept[-1].verdict == old, "by now there is one again, and whoever looked before knows less"
    shelf.is_deleted = True
    shelf.book.record(gone, likely_first=False)
    assert shelf.kept[-1].verdict == (REJECTED if old in NOT_YET else old)


def test_whoever_is_always_interrupted_gives_up_and_comes_again() -> None:
    numbers = iter(range(100))
    shelf = Shelf("a", interrupt=lambda: shelf.kept.append(_result("a", AwaitingQuorum(next(numbers), 999))))
    shelf.kept.append(_result("a", AwaitingQuorum(0, 999)))
    with pytest.raises(TransientError, match="all the time"):
        shelf.book.record(_result("a", PUBLISHED), likely_first=False)
    assert next(numbers) == ATTEMPTS
    with pytest.raises(TransientError, match="all the time"):
        shelf.book.dispute(_result("a", PUBLISHED), ZERO)
