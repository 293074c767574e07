"""References both ways, through the wire: what the bytes mention, what is declared, and what the policy makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lambdas.ingest.adapters.cache import LISTING_METADATA, NO_LISTING, SUBMISSION_METADATA, WARNINGS_METADATA
from lambdas.ingest.closure import MAX_LOOK_UPS
from local.aws import Aws
from nixcache.compression import Compression
from nixcache.references import MAX_UNDECLARED
from nixcache.store_path import NIX_STORE, StorePath
from nixcache.verify import Policy
from protocol.keys import CacheListingKey, CacheNarInfoKey
from protocol.settings import ReferencePolicy
from protocol.verdicts import Duplicate, Published, Rejected
from tests.ingest.requests_log import Killed, RequestsLog
from tests.ingest.store_objects import Builder, StoreObject, pack, store_path
from tests.ingest.test_upstreams import serving
from tests.ingest.world import BOB, KEY, World, connect, sqs_event

REJECT = ReferencePolicy(undeclared=Policy.REJECT)
LENIENT = ReferencePolicy(not_found=Policy.WARN)
ELSEWHERE = store_path("elsewhere")


def _mention(*paths: StorePath) -> str:
    return "\n".join(map(NIX_STORE.render, paths))


def _publish(world: World, *things: StoreObject) -> None:
    for thing in things:
        world.submit(thing)
        world.run()
        assert world.verdict(thing.path) == Published((KEY.name,))


def _warned(world: World, path: StorePath) -> list[tuple[str, tuple[StorePath, ...]]]:
    verdict = world.verdict(path)
    assert isinstance(verdict, Published)
    return [(warning.code, warning.paths) for warning in verdict.warnings]


def _predicate(world: World, path: StorePath) -> dict[str, Any]:
    return dict(world.provenance(path).predicate)


def _metadata_size(world: World, path: StorePath) -> int:
    metadata = world.admin.s3.head_object(Bucket=world.settings.cache_bucket, Key=str(CacheNarInfoKey(path.hash_part)))[
        "Metadata"
    ]
    return sum(len(key) + len(value) for key, value in metadata.items())


def test_an_undeclared_path_is_a_warning_in_result_and_provenance(
    world: World, builder: Builder, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """As Nix's unsafeDiscardReferences makes it. Nothing is looked up where nothing is declared."""
    image = builder.build("image", text=_mention(ELSEWHERE))
    clients = connect(world.aws)
    log = RequestsLog(clients)
    world.submit(image)
    world.run(world.container(clients))
    assert _warned(world, image.path) == [("reference-undeclared", (ELSEWHERE,))]
    assert len(log.operations) == 11, "as for any leaf, the container's first"
    assert [line["warnings"] for line in log_lines() if "verdict" in line] == [["reference-undeclared"]]
    predicate = _predicate(world, image.path)
    assert [(warning["code"], warning["paths"]) for warning in predicate["warnings"]] == [
        ("reference-undeclared", (ELSEWHERE.base_name,))
    ]
    assert predicate["policy"] == {"reference-not-found": "reject", "reference-undeclared": "warn"}
    assert "references-mentioned" in predicate["checks"]
    assert "mentions-in-closure" not in predicate["checks"]
    world.check_cache()


def test_what_is_consistent_has_no_warning_and_every_check(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf], itself=True)
    _publish(world, leaf, top)
    predicate = _predicate(world, top.path)
    assert predicate["warnings"] == ()
    assert {"references-mentioned", "mentions-in-closure"} <= set(predicate["checks"])
    head = world.admin.s3.head_object(Bucket=world.settings.cache_bucket, Key=str(CacheNarInfoKey(top.path.hash_part)))
    assert set(head["Metadata"]) == {SUBMISSION_METADATA}


@pytest.mark.parametrize("policy", [REJECT, ReferencePolicy()], ids=["reject", "warn"])
def test_what_is_in_the_closure_needs_no_declaration(aws: Aws, builder: Builder, policy: ReferencePolicy) -> None:
    """Whoever has the declared references has their references: three look-ups, the last mentions the wanted."""
    world = World(aws, references=policy)
    libc = builder.build("libc")
    low = builder.build("low", [libc])
    middle = builder.build("middle", [low])
    high = builder.build("high", [middle])
    _publish(world, libc, low, middle, high)
    # A mention's name goes as far as its characters do, so the hash part decides.
    top = builder.build("top", [high], text=f"{_mention(libc.path)}. Also {_mention(low.path)}")
    clients = connect(world.aws)
    log = RequestsLog(clients)
    container = world.container(clients)
    world.submit(top)
    world.run(container)
    assert world.verdict(top.path) == Published((KEY.name,))
    assert len(log.operations) == 12 + 3, "one more for the reference, and three narinfos on the way down"
    log.operations.clear()
    again = builder.build("again", [high], text=_mention(libc.path))
    world.submit(again)
    world.run(container)
    assert world.verdict(again.path) == Published((KEY.name,))
    assert len(log.operations) == 8, "what a narinfo says is remembered"


def test_an_upstreams_closure_counts(aws: Aws, builder: Builder) -> None:
    """Under the upstream's key: what its narinfos reference is signed."""
    with serving() as upstream:
        world = World(aws, upstreams=(upstream.upstream,), references=REJECT)
        libc = builder.build("libc")
        middle = builder.build("middle", [libc])
        upstream.publish(libc)
        upstream.publish(middle)
        top = builder.build("top", [middle], text=_mention(libc.path))
        _publish(world, top)
        stranger = builder.build("stranger", [middle], text=_mention(ELSEWHERE))
        world.submit(stranger)
        world.run()
        verdict = world.verdict(stranger.path)
    assert isinstance(verdict, Rejected)
    assert verdict.code == "reference-undeclared"


@pytest.mark.parametrize("policy", [REJECT, ReferencePolicy()], ids=["reject", "warn"])
def test_an_upstream_that_does_not_answer_is_no_verdict(aws: Aws, builder: Builder, policy: ReferencePolicy) -> None:
    """I6: neither a rejection nor a warning comes of it, for both would be gone at the next delivery."""
    with serving() as upstream:
        world = World(aws, upstreams=(upstream.upstream,), references=policy)
        libc = builder.build("libc")
        middle = builder.build("middle", [libc])
        _publish(world, libc, middle)
        # Published here but for the middle of the closure, which only the upstream may have.
        s3, bucket = world.admin.s3, world.settings.cache_bucket
        high = builder.build("high", [middle])
        _publish(world, high)
        s3.delete_object(Bucket=bucket, Key=str(CacheNarInfoKey(middle.path.hash_part)))
        path = f"/{middle.path.hash_part}.narinfo"
        upstream.answers[path] = (500, b"")
        top = builder.build("top", [high], text=_mention(libc.path))
        world.submit(top)
        messages = world.take_messages()
        container = world.container()
        assert container(sqs_event(*messages)) == messages
        assert world.published(top.path) is None
        upstream.publish(middle)
        assert container(sqs_event(*messages)) == []
        assert world.verdict(top.path) == Published((KEY.name,))


def test_the_policy_may_reject(aws: Aws, builder: Builder) -> None:
    world = World(aws, references=REJECT)
    image = builder.build("image", text=_mention(ELSEWHERE))
    world.submit(image)
    world.run()
    verdict = world.verdict(image.path)
    assert isinstance(verdict, Rejected)
    assert (verdict.code, verdict.field) == ("reference-undeclared", "References")
    assert ELSEWHERE.base_name in verdict.problem
    assert world.keys(world.settings.cache_bucket) == []


@pytest.mark.parametrize("reject", [False, True])
def test_look_ups_are_bounded_whatever_a_nar_mentions(aws: Aws, builder: Builder, *, reject: bool) -> None:
    """I7: what could not be found within the bound counts as undeclared; more than are named are never cleared."""
    world = World(aws, references=REJECT if reject else ReferencePolicy())
    below = [store_path("below", str(number)) for number in range(MAX_LOOK_UPS + 20)]
    # Somebody's narinfo that declares many: placed by hand, as hundreds of publications would take minutes.
    wide = pack(store_path("wide"), b"", below, Compression.NONE)
    world.admin.s3.put_object(
        Bucket=world.settings.cache_bucket,
        Key=str(CacheNarInfoKey(wide.path.hash_part)),
        Body=wide.claiming(nar_size=1).narinfo.render(),
    )
    mentioned = [store_path("mentioned", str(number)) for number in range(MAX_UNDECLARED)]
    thing = builder.build("thing", [wide], text=_mention(*mentioned, ELSEWHERE))
    clients = connect(world.aws)
    log = RequestsLog(clients)
    world.submit(thing)
    world.run(world.container(clients))
    assert log.operations.count("GetObject") == 5 + MAX_LOOK_UPS, (
        "narinfo, is it published, what is withdrawn, reference, NAR"
    )
    verdict = world.verdict(thing.path)
    if reject:
        assert isinstance(verdict, Rejected)
        assert verdict.code == "reference-undeclared"
    else:
        ((code, paths),) = _warned(world, thing.path)
        assert code == "reference-undeclared"
        assert paths == tuple(mentioned[: len(paths)])
        assert len(paths) > 5


def test_what_is_warned_of_fits_beside_the_narinfo(aws: Aws, builder: Builder) -> None:
    """S3 takes 2 KB of metadata, names and all; many short names make the most of it."""
    world = World(aws, references=LENIENT)
    short = [store_path("n", str(number)) for number in range(MAX_UNDECLARED + 21)]
    declared, mentioned = short[:20], short[20:]
    s3, bucket = world.admin.s3, world.settings.cache_bucket
    for path in declared:
        narinfo = pack(path, b"x", (), Compression.NONE).narinfo
        s3.put_object(Bucket=bucket, Key=str(CacheNarInfoKey(path.hash_part)), Body=narinfo.render())
    image = builder.build("image", text=_mention(*mentioned)).claiming(references=tuple(sorted(declared)))
    world.submit(image)
    world.run()
    assert [code for code, _ in _warned(world, image.path)] == ["reference-not-found", "reference-undeclared"]
    assert _metadata_size(world, image.path) + len(LISTING_METADATA) + len(NO_LISTING) <= 2048


def test_a_reference_that_is_not_mentioned_may_be_a_warning(aws: Aws, builder: Builder) -> None:
    world = World(aws, references=LENIENT)
    leaf = builder.build("leaf")
    top = builder.build("top").claiming(references=(leaf.path,))
    _publish(world, leaf)
    world.submit(top)
    (message,) = world.take_messages()
    container = world.container()
    assert container(sqs_event(message)) == []
    assert _warned(world, top.path) == [("reference-not-found", (leaf.path,))]
    predicate = _predicate(world, top.path)
    assert "references-mentioned" not in predicate["checks"]
    assert "mentions-in-closure" in predicate["checks"]
    assert predicate["policy"]["reference-not-found"] == "warn"
    # I6: a listing that a crash left out is made from it, too, whatever the policy is by then.
    listing = str(CacheListingKey(top.path.hash_part))
    world.admin.s3.delete_object(Bucket=world.settings.cache_bucket, Key=listing)
    strict = world.container(settings=replace(world.settings, references=ReferencePolicy()))
    assert strict(sqs_event(message)) == []
    assert listing in world.keys(world.settings.cache_bucket)
    assert _warned(world, top.path) == [("reference-not-found", (leaf.path,))]
    assert _predicate(world, top.path)["policy"]["reference-not-found"] == "warn", "it is what it was published under"


def test_a_redelivery_has_the_same_warnings(aws: Aws, builder: Builder) -> None:
    """I6: wherever a container dies that has published, result and provenance are those of a run without a fault."""
    image = builder.build("image", text=_mention(ELSEWHERE))

    def run(dies_at: int | None) -> dict[str, object]:
        world = World(aws)
        world.submit(image)
        messages = world.take_messages()
        clients = connect(aws)

        def die(number: int, _: str) -> None:
            if number == dies_at:
                raise Killed

        RequestsLog(clients, before=die)
        container = world.container(clients)
        if dies_at is not None:
            with pytest.raises(Killed):
                container(sqs_event(*messages))
        assert container(sqs_event(*messages)) == []
        assert _warned(world, image.path) == [("reference-undeclared", (ELSEWHERE,))]
        return world.state()

    expected = run(None)
    for number in range(6, 10):  # narinfo, listing, provenance, result
        assert run(number) == expected


def test_a_duplicate_has_no_warnings(world: World, builder: Builder) -> None:
    """Nothing of it was read; and a second delivery of the first says the same as before."""
    image = builder.build("image", text=_mention(ELSEWHERE))
    world.submit(image)
    (message,) = world.take_messages()
    container = world.container()
    assert container(sqs_event(message)) == []
    world.submit(image, BOB)
    world.run(container)
    assert world.verdict(image.path, BOB) == Duplicate()
    assert container(sqs_event(message)) == []
    assert _warned(world, image.path) == [("reference-undeclared", (ELSEWHERE,))]


@pytest.mark.parametrize("damage", ["", "{", "5", '[{"code": "x"}]', '[{"code": "x", "problem": "y", "paths": ["z"]}]'])
def test_damaged_metadata_is_not_blamed_on_a_submission(world: World, builder: Builder, damage: str) -> None:
    image = builder.build("image", text=_mention(ELSEWHERE))
    world.submit(image)
    (message,) = world.take_messages()
    container = world.container()
    assert container(sqs_event(message)) == []
    s3, bucket, key = world.admin.s3, world.settings.cache_bucket, str(CacheNarInfoKey(image.path.hash_part))
    narinfo = s3.get_object(Bucket=bucket, Key=key)
    metadata = {**narinfo["Metadata"], WARNINGS_METADATA: damage or "null"}
    s3.put_object(Bucket=bucket, Key=key, Body=narinfo["Body"].read(), Metadata=metadata)
    assert container(sqs_event(message)) == [message]
    assert _warned(world, image.path) == [("reference-undeclared", (ELSEWHERE,))]


def test_what_another_builder_published_says_nothing_of_who(world: World, builder: Builder) -> None:
    """I8: readers get the warnings beside the narinfo, and they name store paths only."""
    image = builder.build("image", text=_mention(ELSEWHERE))
    world.submit(image, BOB)
    world.run()
    head = world.admin.s3.head_object(
        Bucket=world.settings.cache_bucket, Key=str(CacheNarInfoKey(image.path.hash_part))
    )
    assert ELSEWHERE.base_name in head["Metadata"][WARNINGS_METADATA]
    assert "bob" not in str(head["Metadata"])
