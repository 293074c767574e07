"""I1, I6: what a crash, a new policy, an operator or a lost object leaves half done is done by whoever comes next."""

from __future__ import annotations

from collections.abc import Callable

from nixcache.compression import Compression
from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.store_path import NIX_STORE, StorePath
from protocol.delivery import MESSAGE_RETENTION
from protocol.keys import (
    BuilderName,
    CacheListingKey,
    CacheNarInfoKey,
    NarFile,
    ProvenanceKey,
    StagingNarInfoKey,
    StagingNarKey,
    VoteKey,
)
from protocol.policy import BuilderRules, SubmissionPolicy
from protocol.verdicts import AwaitingQuorum, Conflict, Kind, Rejected
from tests.concurrency.checker import Checker
from tests.concurrency.deployment import ALICE, BOB, CAROL, OPEN, TWO_OF_THREE, SimulatedDeployment
from tests.concurrency.end import check_end
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import StoreObject, pack, sha256
from tests.nixcache.nar_model import File, nar
from tests.simulator.errors import Killed
from tests.simulator.requests import Answer, Request


def _die_after_commit(request: Request, _: Answer | None) -> None:
    if request.operation == "PutObject" and request.target.startswith("cache/") and request.target.endswith(".narinfo"):
        raise Killed


def _deliver_until_death(deployment: SimulatedDeployment, after: Callable[[Request, Answer | None], None]) -> None:
    container = deployment.container(deployment.connect(after=after))
    for message in deployment.queue.visible:
        assert deployment.queue.take(message)
        try:
            container(message)
        except Killed:
            return
    raise AssertionError("nobody died")


def test_a_policy_that_is_deployed_after_a_crash_undoes_no_publication(objects: Objects) -> None:
    leaf = objects.build("leaf")
    top = objects.build("top", [leaf])
    deployment = SimulatedDeployment()
    deployment.submit(top, BOB)
    deployment.drain()
    version_id = deployment.submit(leaf)
    _deliver_until_death(deployment, _die_after_commit)
    deployment.policy = SubmissionPolicy({name: rules for name, rules in OPEN.builders.items() if name != ALICE})
    deployment.drain()
    assert deployment.result(leaf.path).verdict.kind is Kind.PUBLISHED
    assert deployment.result(top.path, BOB).verdict.kind is Kind.PUBLISHED
    check_end(deployment, {(ALICE, "leaf"): (leaf, version_id)})


def test_what_a_wake_up_published_is_completed_though_nonsense_replaced_it(objects: Objects) -> None:
    leaf = objects.build("leaf")
    middle = objects.build("middle", [leaf])
    top = objects.build("top", [middle])
    deployment = SimulatedDeployment()
    for thing, builder in ((middle, ALICE), (top, CAROL)):
        deployment.submit(thing, builder)
        deployment.drain()
    deployment.submit(leaf, BOB)
    [message] = deployment.queue.visible
    assert deployment.queue.take(message)
    assert deployment.container()(message)
    _deliver_until_death(deployment, _die_after_commit)
    deployment.upload(StagingNarInfoKey(ALICE, middle.path.hash_part), b"StorePath: nonsense\n")
    deployment.drain()
    assert isinstance(deployment.result(middle.path).verdict, Rejected), "the nonsense"
    assert deployment.ledger.read(str(ProvenanceKey(middle.path.hash_part)))
    assert deployment.cache.read(str(CacheListingKey(middle.path.hash_part)))
    assert deployment.result(top.path, CAROL).verdict.kind is Kind.PUBLISHED
    assert deployment.queue.dead_letters == []


def test_an_address_that_proves_too_little_gets_around_no_quorum() -> None:
    """I1: mentions are hashed as zeros by some generations, so zeros and a mention have one address (ADR 43)."""
    honest = nar(File(b"start" + bytes(32) + b"end\n"))
    address = ContentAddress(ContentAddressMethod.NAR, sha256(honest))
    path = address.store_path(NIX_STORE, "voted-source", (), itself=False)
    forged = nar(File(b"start" + path.hash_part.encode() + b"end\n"))
    deployment = SimulatedDeployment(TWO_OF_THREE)
    deployment.submit(pack(path, forged, (), Compression.ZSTD).claiming(ca=address))
    deployment.drain()
    assert deployment.result(path).verdict == AwaitingQuorum(1, 2)
    assert deployment.published(path) is None
    deployment.submit(pack(path, honest, (), Compression.ZSTD).claiming(ca=address), BOB)
    deployment.drain()
    assert deployment.result(path, BOB).verdict.kind is Kind.PUBLISHED, "without a mention, the address proves it"
    assert isinstance(deployment.result(path).verdict, Conflict)


def test_nor_does_it_pass_where_addresses_are_asked_for() -> None:
    honest = nar(File(b"start" + bytes(32) + b"end\n"))
    address = ContentAddress(ContentAddressMethod.NAR, sha256(honest))
    path = address.store_path(NIX_STORE, "source", (), itself=False)
    forged = nar(File(b"start" + path.hash_part.encode() + b"end\n"))
    rules = BuilderRules(trust_group="alice", max_nar_size=1024**3, input_addressed=False)
    deployment = SimulatedDeployment(SubmissionPolicy({**OPEN.builders, ALICE: rules}))
    deployment.submit(pack(path, forged, (), Compression.ZSTD).claiming(ca=address))
    deployment.drain()
    verdict = deployment.result(path).verdict
    assert isinstance(verdict, Rejected)
    assert (verdict.code, verdict.field) == ("not-allowed", "CA")


def _take_down(deployment: SimulatedDeployment, path: StorePath) -> None:
    s3 = deployment.connect().s3
    s3.delete_objects(Bucket="cache", Delete={"Objects": [{"Key": str(CacheNarInfoKey(path.hash_part))}]})


def test_provenance_is_about_what_is_published_now(objects: Objects) -> None:
    """A squatter was taken down: what was attested of it is not about the true path, nor is it whom disputes go to."""
    leaf = objects.build("leaf")
    deployment = SimulatedDeployment()
    deployment.submit(leaf.claiming(store_path=StorePath(leaf.path.hash_part, "squat")), BOB)
    deployment.drain()
    _take_down(deployment, leaf.path)
    version_id = deployment.submit(leaf)
    deployment.drain()
    other = objects.build("leaf", text="other")
    last = {(ALICE, "leaf"): (leaf, version_id), (CAROL, "leaf"): (other, deployment.submit(other, CAROL))}
    deployment.drain()
    check_end(deployment, last)


def test_a_conflict_does_not_wait_for_ever_for_whoever_published(objects: Objects) -> None:
    """Nobody can come again after the queue has forgotten him: the dead letters would fill with the disputes."""
    leaf, other = objects.build("leaf"), objects.build("leaf", text="other")
    deployment = SimulatedDeployment()
    deployment.submit(leaf)
    deployment.drain()
    s3 = deployment.connect().s3
    s3.delete_objects(Bucket="ledger", Delete={"Objects": [{"Key": str(ProvenanceKey(leaf.path.hash_part))}]})
    deployment.aws.clock.advance(MESSAGE_RETENTION.total_seconds() + 1)
    deployment.submit(other, BOB)
    deployment.drain(most=1)
    assert isinstance(deployment.result(leaf.path, BOB).verdict, Conflict)


def _lose_nar(deployment: SimulatedDeployment, thing: StoreObject, builder: BuilderName) -> None:
    key = str(StagingNarKey(builder, NarFile.parse_url(thing.narinfo.url)))
    s3 = deployment.connect().s3
    for version in s3.list_object_versions(Bucket="staging", Prefix=key).get("Versions", []):
        s3.delete_object(Bucket="staging", Key=key, VersionId=version["VersionId"])


def test_whoever_agrees_publishes_where_the_last_voter_cannot(objects: Objects) -> None:
    """Wherever the last voter dies meanwhile, and though somebody who contradicts waits there as well."""
    voted, other = objects.build("voted-on"), objects.build("voted-on", text="other")
    index = 0
    while True:
        deployment = SimulatedDeployment(TWO_OF_THREE)
        for thing, builder in ((voted, ALICE), (other, CAROL)):
            deployment.submit(thing, builder)
            deployment.drain()
        deployment.submit(voted, BOB)
        died = False

        def lose_and_die(request: Request, at: int = index, deployment: SimulatedDeployment = deployment) -> None:
            nonlocal died
            if request.operation == "CopyObject":
                _lose_nar(deployment, voted, BOB)
            if request.number == at:
                died = True
                raise Killed

        [message] = deployment.queue.visible
        assert deployment.queue.take(message)
        try:
            deployment.container(deployment.connect(before=lose_and_die))(message)
        except Killed:
            if deployment.ledger.read(str(VoteKey(voted.path.hash_part, BOB))):
                _lose_nar(deployment, voted, BOB)
        deployment.drain()
        Checker(deployment)()
        assert deployment.published(voted.path) is not None
        assert deployment.result(other.path, CAROL).verdict == Conflict(voted.narinfo.nar_hash, other.narinfo.nar_hash)
        if not died:
            assert deployment.result(voted.path).verdict.kind is Kind.PUBLISHED
            assert isinstance(deployment.result(voted.path, BOB).verdict, Rejected)
            break
        index += 1
    assert index > 12
