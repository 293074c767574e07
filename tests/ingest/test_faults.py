"""I6: whatever fails, and wherever ingest dies, redelivery leads to the same final state; I4 holds all the while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from lambdas.ingest import judge
from lambdas.ingest.claim import Claim, check
from local.aws import Aws
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE
from protocol.keys import NARINFO_SUFFIX, CacheListingKey, NarFile, ProvenanceKey
from protocol.verdicts import Duplicate, Published, Rejected
from tests.ingest.requests_log import Killed, RequestsLog, answer, reply, timeout
from tests.ingest.store_objects import Builder, sha256
from tests.ingest.world import BOB, KEY, World, connect, sqs_event


def _kill() -> AWSResponse:
    raise Killed


def _time_out() -> AWSResponse:
    raise timeout()


def _refuse() -> AWSResponse:
    return answer(503, "SlowDown")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to request ``index``, before it reaches AWS or after it had its effect there."""

    index: int
    after: bool
    happen: Callable[[], AWSResponse]


class Run:
    """A referrer and then its reference are submitted, and delivered until the queue is empty."""

    def __init__(self, world: World, fault: Fault | None = None) -> None:
        self.world = world
        self.requests = 0
        self.violations: list[AssertionError] = []
        self._fault = fault
        self._visible: set[str] = set()
        self._clients = connect(world.aws)
        RequestsLog(self._clients, before=self._before, after=self._after)

    def __call__(self, builder: Builder) -> None:
        leaf = builder.build("leaf")
        self.world.submit(builder.build("top", [leaf]))
        self.world.submit(leaf, BOB)
        container = self.world.container(self._clients)
        messages = self.world.take_messages()
        deliveries = 0
        while messages:
            deliveries += 1
            assert deliveries < 20, "it never ends"
            failed = []
            for body in messages:
                try:
                    failed += container(sqs_event(body))
                except Killed:
                    failed.append(body)
                    container = self.world.container(self._clients)
            messages = failed + self.world.take_messages()

    def _before(self, index: int, _: str) -> AWSResponse | None:
        self.requests += 1
        return self._meet(index, after=False)

    def _after(self, index: int, operation: str) -> AWSResponse | None:
        if operation == "PutObject":
            self._watch()
        return self._meet(index, after=True)

    def _meet(self, index: int, *, after: bool) -> AWSResponse | None:
        fault = self._fault
        return fault.happen() if fault and (fault.index, fault.after) == (index, after) else None

    def _watch(self) -> None:
        """I4: as soon as a narinfo is visible, everything that it needs is."""
        keys = {key for key in self.world.keys(self.world.settings.cache_bucket) if key.endswith(NARINFO_SUFFIX)}
        if keys != self._visible:
            self._visible = keys
            try:
                self.world.check_cache()
            except AssertionError as violation:  # ingest would take it for a fault of AWS's
                self.violations.append(violation)


@pytest.fixture(scope="module")
def undisturbed(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(World(aws))
    run(Builder(tmp_path_factory.mktemp("undisturbed")))
    return run


def _meet_at_every_third_request(undisturbed: Run, tmp_path: Path, first: int, fault: Callable[[int], Fault]) -> None:
    """Over the wire a third of them is met; the crash points of ``tests/concurrency`` are all of them, in memory."""
    expected = undisturbed.world.state()
    assert undisturbed.requests > 20
    for index in range(first, undisturbed.requests, 3):
        run = Run(World(undisturbed.world.aws), fault(index))
        run(Builder(tmp_path / str(index)))
        assert run.violations == []
        assert run.world.state() == expected, f"after {fault(index)}"


@pytest.mark.timeout(300)
def test_ingest_may_be_killed_after_any_request(undisturbed: Run, tmp_path: Path) -> None:
    """After its effect, which is as much as before the next request."""
    _meet_at_every_third_request(undisturbed, tmp_path, 1, lambda index: Fault(index, after=True, happen=_kill))


@pytest.mark.timeout(300)
def test_any_request_may_be_refused_or_time_out_after_its_effect(undisturbed: Run, tmp_path: Path) -> None:
    _meet_at_every_third_request(
        undisturbed,
        tmp_path,
        2,
        lambda index: Fault(index, after=bool(index % 2), happen=_time_out if index % 2 else _refuse),
    )


class _BrokenBody:
    """An answer that begins well: ``then`` is what comes after ``first``."""

    def __init__(self, first: bytes, then: Exception | None) -> None:
        self._pieces: list[bytes | Exception] = [first, then or b""]

    def read(self, _: int | None = None) -> bytes:
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize("request_number", [0, 2], ids=["narinfo", "NAR"])
@pytest.mark.parametrize(
    "then",
    [
        ProtocolError("Connection broken"),
        ReadTimeoutError(HTTPConnectionPool("s3"), "/", "Read timed out."),
        ConnectionResetError(),
        None,
    ],
    ids=["broken", "stalled", "reset", "ended early"],
)
def test_an_answer_that_breaks_off_is_no_verdict(
    world: World,
    builder: Builder,
    request_number: int,
    then: Exception | None,
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """The bytes that came look like a truncated narinfo or NAR, which would be the builder's fault."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    data = thing.narinfo.render() if request_number == 0 else thing.file
    first = data[: len(data) // 2]
    clients = connect(world.aws)

    def break_off(number: int, _: str) -> AWSResponse | None:
        headers = HTTPHeaders.from_dict(
            {
                "content-length": str(len(data)),
                "x-amz-version-id": "1",
                "last-modified": "Sun, 22 Nov 2026 12:00:00 GMT",
            }
        )
        return AWSResponse("http://s3/", 200, headers, _BrokenBody(first, then)) if number == request_number else None

    RequestsLog(clients, before=break_off)
    assert world.container(clients)(sqs_event(*messages)) == messages
    assert world.keys(world.settings.ledger_bucket) == world.keys(world.settings.cache_bucket) == []
    assert ["traceback" in line for line in log_lines()] == [False]  # nor is it taken for a bug of ours
    assert world.container()(sqs_event(*messages)) == []
    assert world.verdict(thing.path) == Published((KEY.name,))


def test_half_of_what_is_published_is_not_compared_with(world: World, builder: Builder) -> None:
    """I3: a narinfo that breaks off after a line may still be one, of another object: a conflict that there is not."""
    thing = builder.build_addressed("leaf")
    path = thing.path
    world.submit(thing)
    world.run()
    world.submit(thing, BOB)
    messages = world.take_messages()
    published = world.published(path)
    assert published is not None
    data = published.render()
    first, _, _ = data.partition(b"CA: ")
    assert NarInfo.parse(first, NIX_STORE).ca is None
    clients = connect(world.aws)

    def break_off(number: int, _: str) -> AWSResponse | None:
        headers = HTTPHeaders.from_dict({"content-length": str(len(data))})
        return AWSResponse("http://s3/", 200, headers, _BrokenBody(first, None)) if number == 1 else None

    RequestsLog(clients, before=break_off)
    assert world.container(clients)(sqs_event(*messages)) == messages
    assert world.container()(sqs_event(*messages)) == []
    assert world.verdict(path, BOB) == Duplicate()


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("DeleteObjects", b"<DeleteResult><Error><Key>k</Key><Code>InternalError</Code></Error></DeleteResult>"),
        ("SendMessageBatch", b'{"Failed": [{"Id": "0", "Code": "InternalError", "SenderFault": false}]}'),
    ],
)
def test_a_batch_that_succeeds_only_in_part_is_done_again(
    world: World, builder: Builder, operation: str, body: bytes
) -> None:
    """I6: AWS answers 200 to a batch of which it did nothing. The publisher is told before anybody is woken."""
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(top)
    world.run()
    world.submit(leaf)
    messages = world.take_messages()
    clients = connect(world.aws)
    RequestsLog(clients, before=lambda _, name: reply(200, body) if name == operation else None)
    assert world.container(clients)(sqs_event(*messages)) == messages
    assert world.verdict(leaf.path) == Published((KEY.name,))
    assert world.keys(world.settings.ledger_bucket, "provenance/") == [str(ProvenanceKey(leaf.path.hash_part))]
    assert world.published(top.path) is None
    assert world.container()(sqs_event(*messages)) == []
    world.run()
    assert world.verdict(top.path) == Published((KEY.name,))


def test_a_nar_that_is_there_already_is_enough(world: World, builder: Builder) -> None:
    """It has the same bytes, being named by them: two paths may well have one NAR."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    world.admin.s3.put_object(
        Bucket=world.settings.cache_bucket,
        Key=NarFile.of(sha256(thing.file), thing.narinfo.compression).url,
        Body=thing.file,
    )
    clients = connect(world.aws)  # moto ignores the condition of a copy, so here is the answer that S3 gives
    RequestsLog(clients, before=lambda _, name: answer(412, "PreconditionFailed") if name == "CopyObject" else None)
    assert world.container(clients)(sqs_event(*messages)) == []
    assert world.verdict(thing.path) == Published((KEY.name,))
    world.check_cache()


def test_a_narinfo_that_was_in_the_way_and_is_gone_again(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    clients = connect(world.aws)
    RequestsLog(clients, before=lambda _, name: answer(412, "PreconditionFailed") if name == "PutObject" else None)
    assert world.container(clients)(sqs_event(*messages)) == messages
    assert world.keys(world.settings.ledger_bucket) == []


def test_what_somebody_damaged_in_the_cache_is_not_blamed_on_a_submission(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    top = builder.build("top", [thing])
    world.submit(thing)
    (message,) = world.take_messages()
    container = world.container()
    assert container(sqs_event(message)) == []
    cache, ledger = world.settings.cache_bucket, world.settings.ledger_bucket
    published = world.published(thing.path)
    assert published is not None
    world.admin.s3.delete_object(Bucket=cache, Key=str(CacheListingKey(thing.path.hash_part)))
    world.admin.s3.put_object(Bucket=cache, Key=published.url, Body=b"damaged")
    assert container(sqs_event(message)) == [message]
    world.admin.s3.put_object(Bucket=cache, Key=f"{thing.path.hash_part}.narinfo", Body=b"damaged")
    world.submit(top)
    messages = [message, *world.take_messages()]
    assert container(sqs_event(*messages)) == messages
    assert world.verdict(thing.path) == Published((KEY.name,))
    assert world.keys(ledger, "results/") == [f"results/alice/{thing.path.hash_part}.json"]


def test_whether_there_is_a_listing_is_not_guessed(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    world.submit(thing)
    (message,) = world.take_messages()
    assert world.container()(sqs_event(message)) == []
    clients = connect(world.aws)
    RequestsLog(clients, before=lambda _, name: answer(403, "") if name == "HeadObject" else None)
    assert world.container(clients)(sqs_event(message)) == [message]


@pytest.mark.parametrize("index", range(10))  # the eleventh looks who waits: by then the result is written
def test_access_denied_is_the_operators_fault_and_no_verdict(world: World, builder: Builder, index: int) -> None:
    """It is not an absence either: without s3:ListBucket, S3 answers 403 for what is not there."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    clients = connect(world.aws)
    RequestsLog(clients, before=lambda number, _: answer(403, "AccessDenied") if number == index else None)
    assert world.container(clients)(sqs_event(*messages)) == messages
    assert world.keys(world.settings.ledger_bucket, "results/") == []


def test_a_staging_bucket_without_versions_publishes_nothing(world: World, builder: Builder) -> None:
    """I2: without versions, what is copied could be something else than what was verified."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    clients = connect(world.aws)
    clients.s3.meta.events.register("after-call.s3.GetObject", lambda parsed, **_: parsed.pop("VersionId", None))
    assert world.container(clients)(sqs_event(*messages)) == messages
    assert world.keys(world.settings.cache_bucket) == []


def test_a_nar_that_is_swapped_after_it_was_read_is_not_what_is_copied(world: World, builder: Builder) -> None:
    """I2: the version that was verified is copied, whatever lies over it by then."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    clients = connect(world.aws)

    def swap(_: int, operation: str) -> None:
        if operation == "CopyObject":
            world.upload(f"alice/{thing.narinfo.url}", b"something else")

    RequestsLog(clients, before=swap)
    assert world.container(clients)(sqs_event(*messages)) == []
    assert world.verdict(thing.path) == Published((KEY.name,))
    world.check_cache()


def test_a_nar_that_is_deleted_after_it_was_read_is_missing(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    clients = connect(world.aws)
    key = f"alice/{thing.narinfo.url}"

    def delete(_: int, operation: str) -> None:
        if operation == "CopyObject":
            bucket = world.settings.staging_bucket
            version_id = world.admin.s3.head_object(Bucket=bucket, Key=key)["VersionId"]
            world.admin.s3.delete_object(Bucket=bucket, Key=key, VersionId=version_id)

    RequestsLog(clients, before=delete)
    assert world.container(clients)(sqs_event(*messages)) == []
    verdict = world.verdict(thing.path)
    assert isinstance(verdict, Rejected)
    assert verdict.code == "nar-missing"
    assert world.published(thing.path) is None


def test_a_listing_that_a_crash_left_out_is_made_up_for(world: World, builder: Builder) -> None:
    """I6: from the published NAR, since staging may hold something else, or nothing, by then."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    clients = connect(world.aws)
    puts = []

    def die(_: int, operation: str) -> None:
        puts.append(operation == "PutObject")
        if puts.count(True) == 3:  # nix-cache-info, narinfo, listing
            raise Killed

    RequestsLog(clients, before=die)
    with pytest.raises(Killed):
        world.container(clients)(sqs_event(*messages))
    listing = str(CacheListingKey(thing.path.hash_part))
    assert world.published(thing.path) is not None
    assert listing not in world.keys(world.settings.cache_bucket)
    world.upload(f"alice/{thing.narinfo.url}", b"something else")
    assert world.container()(sqs_event(*messages)) == []
    assert world.verdict(thing.path) == Published((KEY.name,))
    assert listing in world.keys(world.settings.cache_bucket)


def test_a_bug_fails_its_own_record_only(
    world: World, builder: Builder, monkeypatch: pytest.MonkeyPatch, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    good, bad = builder.build("good"), builder.build("bad")
    world.submit(bad)
    world.submit(good)
    messages = world.take_messages()

    def trip(claim: Claim) -> None:
        if claim.narinfo.store_path == bad.path:
            raise ZeroDivisionError
        check(claim)

    monkeypatch.setattr(judge, "check", trip)
    assert world.container()(sqs_event(*messages)) == messages[:1]
    assert world.verdict(good.path) == Published((KEY.name,))
    (line,) = [line for line in log_lines() if "ZeroDivisionError" in line.get("traceback", "")]
    assert line["about"] == f"alice/{bad.path.hash_part}.narinfo"
