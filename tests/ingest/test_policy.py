"""The operator's rules, over the wire: what a builder may not submit is told so, and nothing comes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from local.aws import Aws
from nixcache.compression import Compression
from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.store_path import StorePath
from protocol.policy import BuilderRules, SubmissionPolicy
from protocol.verdicts import Duplicate, Published, Rejected, Waiting
from tests.ingest.requests_log import RequestsLog
from tests.ingest.store_objects import Builder, StoreObject, derivation
from tests.ingest.world import ALICE, BOB, CAROL, KEY, World, connect

PUBLISHED = Published((KEY.name,))


def _world(aws: Aws, **rules: Any) -> World:  # noqa: ANN401 - whatever rules there are
    """Return a world in which Alice has these rules, and Bob none."""
    free = BuilderRules(trust_group="bob", max_nar_size=1024**3)
    return World(aws, policy=SubmissionPolicy({ALICE: replace(free, trust_group="alice", **rules), BOB: free}))


def _refused(world: World, thing: StoreObject) -> Rejected:
    """Submit as Alice; return the verdict after making sure that the NAR was not read, and Bob may do the same."""
    clients = connect(world.aws)
    log = RequestsLog(clients)
    world.submit(thing)
    world.run(world.container(clients))
    assert sorted(log.operations) == ["GetObject", "GetObject", "PutObject"], "its narinfo, the cache, and the result"
    verdict = world.verdict(thing.path)
    assert isinstance(verdict, Rejected)
    assert verdict.problem
    assert verdict.remedy
    assert world.keys(world.settings.cache_bucket) == []
    world.submit(thing, BOB)
    world.run()
    assert world.verdict(thing.path, BOB) == PUBLISHED
    return verdict


def _is_published(world: World, thing: StoreObject) -> None:
    world.submit(thing)
    world.run()
    assert world.verdict(thing.path) == PUBLISHED


def test_names(aws: Aws, builder: Builder) -> None:
    """Upper and lower case are told apart, and a pattern matches the whole name."""
    world = _world(aws, names=("my-*", "tool-[0-9]"))
    for name in ("my-app", "my-", "tool-1"):
        _is_published(world, builder.build(name))
    for name in ("My-app", "not-my-app", "tool-12"):
        world.submit(builder.build(name))
        world.run()
        verdict = world.verdict(builder.build(name).path)
        assert isinstance(verdict, Rejected)
        assert (verdict.code, verdict.field) == ("not-allowed", "StorePath")
        assert name in verdict.problem


def test_a_name_that_is_not_allowed(aws: Aws, builder: Builder) -> None:
    verdict = _refused(_world(aws, names=("my-*",)), builder.build("glibc"))
    assert (verdict.code, verdict.field) == ("not-allowed", "StorePath")


def test_compressions(aws: Aws, builder: Builder) -> None:
    world = _world(aws, compressions=frozenset((Compression.XZ, Compression.NONE)))
    verdict = _refused(world, builder.build("zstd"))
    assert (verdict.code, verdict.field) == ("not-allowed", "Compression")
    assert "none, xz" in verdict.remedy
    _is_published(world, builder.build("xz", compression=Compression.XZ))
    _is_published(world, builder.build("none", compression=Compression.NONE))


def test_sizes(aws: Aws, builder: Builder) -> None:
    thing = builder.build("thing")
    size = thing.narinfo.nar_size
    _is_published(_world(aws, max_nar_size=size), thing)
    verdict = _refused(_world(aws, max_nar_size=size - 1), thing)
    assert (verdict.code, verdict.field) == ("too-large", "NarSize")


def test_the_deployments_limit_holds_for_who_may_submit_more(aws: Aws, builder: Builder) -> None:
    thing = builder.build("thing")
    size = thing.narinfo.nar_size
    world = World(aws, max_nar_size=size - 1, policy=SubmissionPolicy.open_to((ALICE,), 1024**3))
    world.submit(thing)
    world.run()
    verdict = world.verdict(thing.path)
    assert isinstance(verdict, Rejected)
    assert (verdict.code, verdict.field) == ("too-large", "NarSize")


def test_input_addressed_paths(aws: Aws, builder: Builder) -> None:
    """Without them, nothing of this builder's has to be believed: the bytes prove all that it may submit."""
    world = _world(aws, input_addressed=False)
    thing = builder.build("thing")
    verdict = _refused(world, thing)
    assert (verdict.code, verdict.field) == ("not-allowed", "CA")
    _is_published(world, builder.build_addressed("addressed"))
    _is_published(world, derivation("example"))


def test_an_address_that_is_not_proven_lets_nothing_through(aws: Aws, builder: Builder) -> None:
    """I1: nor does a name that ends in .drv."""
    world = _world(aws, input_addressed=False)
    thing, named = builder.build("thing"), derivation("thing")
    for lie in (
        thing.claiming(ca=ContentAddress(ContentAddressMethod.NAR, thing.narinfo.nar_hash)),
        named.claiming(store_path=StorePath(thing.path.hash_part, "thing.drv")),
    ):
        world.submit(lie)
        world.run()
        verdict = world.verdict(lie.path)
        assert isinstance(verdict, Rejected)
        assert verdict.code == "ca-mismatch"
    assert world.keys(world.settings.cache_bucket) == []


def test_a_builder_that_the_policy_does_not_know(aws: Aws, builder: Builder) -> None:
    """I8: whoever got something into a prefix that belongs to nobody has no builder's rights."""
    world = _world(aws)
    thing = builder.build("thing")
    world.submit(thing, CAROL)
    world.run()
    verdict = world.verdict(thing.path, CAROL)
    assert isinstance(verdict, Rejected)
    assert (verdict.code, verdict.field) == ("not-allowed", None)
    assert world.keys(world.settings.cache_bucket) == []


def test_what_is_not_allowed_does_not_wait_first(aws: Aws, builder: Builder) -> None:
    world = _world(aws, names=("my-*",))
    top = builder.build("top", [builder.build("leaf")])
    world.submit(top)
    world.run()
    assert isinstance(world.verdict(top.path), Rejected)
    assert world.keys(world.settings.ledger_bucket, "waiting/") == []


def test_it_does_not_tell_what_is_published(aws: Aws, builder: Builder) -> None:
    """I8: a builder asks with a submission whether others have built something, and with what contents."""
    world = _world(aws, names=("my-*",))
    secret = builder.build("secret", text="true")
    world.submit(secret, BOB)
    world.run()
    verdicts = []
    for guess in (secret, builder.build("secret", text="false")):
        world.submit(guess)
        world.run()
        verdicts.append(world.verdict(secret.path))
    assert isinstance(verdicts[0], Rejected)
    assert verdicts[0] == verdicts[1]


def test_a_changed_policy_holds_for_what_is_judged_from_then_on(aws: Aws, builder: Builder) -> None:
    """Whoever waits is judged anew when woken; what is published stays."""
    world = _world(aws)
    leaf = builder.build("leaf")
    top, done = builder.build("top", [leaf]), builder.build("done")
    world.submit(done)
    world.submit(top)
    world.run()
    assert world.verdict(top.path) == Waiting((leaf.path,))
    world.policy = _world(aws, names=("my-*",)).policy
    world.submit(leaf, BOB)
    world.submit(done, BOB)
    world.run()
    verdict = world.verdict(top.path)
    assert isinstance(verdict, Rejected)
    assert verdict.code == "not-allowed"
    assert (world.verdict(done.path), world.verdict(done.path, BOB)) == (PUBLISHED, Duplicate())
