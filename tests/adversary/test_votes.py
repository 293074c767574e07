"""One attacker that would be several where several have to agree (I1): it stays one, and proves what it votes for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from nixcache.compression import Compression
from nixcache.content_address import ContentAddress
from nixcache.store_path import StorePath
from protocol import wake
from protocol.keys import BuilderName, NarFile, StagingNarInfoKey, StagingNarKey, VoteKey
from protocol.policy import SubmissionPolicy
from protocol.verdicts import Against, AwaitingQuorum, Conflict, Kind, Published
from tests.adversary.target import MALLORY, MALLORY_2, POLICY, Target
from tests.concurrency.deployment import ALICE, BOB, KEY
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import StoreObject
from tests.nixcache.compressed import compressed, decompressed

ONE_OF_TWO = AwaitingQuorum(1, 2)


def _votes(target: Target, path: StorePath) -> list[str]:
    return target.ledger.keys(VoteKey.prefix(path.hash_part))


def _stage(target: Target, thing: StoreObject, prefix: str) -> None:
    target.upload(f"{prefix}/{thing.narinfo.url}", thing.file)
    target.upload(f"{prefix}/{thing.path.hash_part}.narinfo", thing.narinfo.render())


def _recompressed(thing: StoreObject) -> StoreObject:
    """Return the same store object in another file."""
    raw = decompressed(Compression.ZSTD, [thing.file])
    file = compressed(Compression.XZ, raw)
    url = NarFile.of(thing.narinfo.nar_hash, Compression.XZ).url
    return replace(
        thing.claiming(compression=Compression.XZ, file_hash=None, file_size=None, url=url),
        file=file,
    )


def _wake(target: Target, thing: StoreObject) -> None:
    target.deliver(wake.render(StagingNarInfoKey(MALLORY, thing.path.hash_part)))


SECOND_VOTES: dict[str, Callable[[Target, StoreObject], object]] = {
    "the same again": lambda target, thing: target.submit(thing, MALLORY),
    "in another compression": lambda target, thing: target.submit(_recompressed(thing), MALLORY),
    "by being woken": _wake,
    "by another builder of its trust group": lambda target, thing: target.submit(thing, MALLORY_2),
    "under its name in other letters": lambda target, thing: _stage(target, thing, "Mallory"),
    "under a name that looks alike": lambda target, thing: _stage(target, thing, "m\u0430llory"),
    "from deeper in its prefix": lambda target, thing: _stage(target, thing, "mallory/alice"),
    "from beside its prefix": lambda target, thing: _stage(target, thing, "mallory/../alice"),
    "as a builder that there is not": lambda target, thing: target.submit(thing, BuilderName("carol")),
    "with a deriver": lambda target, thing: target.submit(thing.claiming(deriver=thing.path), MALLORY),
}


@pytest.mark.parametrize("way", SECOND_VOTES)
def test_one_attacker_is_one_vote(target: Target, objects: Objects, way: str) -> None:
    """I1: nothing is signed until somebody of another trust group has proven the same bytes."""
    thing = objects.build("voted-glibc")
    target.attack(thing)
    SECOND_VOTES[way](target, thing)
    target.run()
    assert target.result(thing.path, MALLORY).verdict == ONE_OF_TWO
    assert target.cache.keys() == []
    target.attack(thing, ALICE)
    assert target.result(thing.path, ALICE).verdict == Published((KEY.name,))


def test_an_event_that_comes_again_votes_no_second_time(target: Target, objects: Objects) -> None:
    thing = objects.build("voted-glibc")
    target.submit(thing, MALLORY)
    (event,) = (message.body for message in target.queue.messages)
    target.run()
    for _ in range(3):
        assert target.deliver(event)
    assert target.result(thing.path, MALLORY).verdict == ONE_OF_TWO
    assert _votes(target, thing.path) == [str(VoteKey(thing.path.hash_part, MALLORY))]


def test_a_vote_that_was_copied_to_another_builders_key_counts_for_nobody(target: Target, objects: Objects) -> None:
    """I1: even where somebody may write to the ledger: a vote says whose it is, and trouble is no verdict."""
    thing = objects.build("voted-glibc")
    target.attack(thing)
    vote = target.ledger.read(str(VoteKey(thing.path.hash_part, MALLORY))) or b""
    target.connect().s3.put_object(Bucket="ledger", Key=str(VoteKey(thing.path.hash_part, ALICE)), Body=vote)
    assert not target.deliver(wake.render(StagingNarInfoKey(MALLORY, thing.path.hash_part)))
    assert target.cache.keys() == []


@pytest.mark.parametrize("nar", ["none", "another", "half"])
def test_a_claim_that_was_copied_from_another_is_no_vote(target: Target, objects: Objects, nar: str) -> None:
    """I1: who has learnt what another voted for still has to bring the bytes."""
    thing, other = objects.build("voted-glibc"), objects.build("voted-glibc", text="other")
    target.attack(thing, ALICE)
    if nar != "none":
        data = other.file if nar == "another" else thing.file[:-8]
        target.upload(StagingNarKey(MALLORY, NarFile.parse_url(thing.narinfo.url)), data)
    target.upload(StagingNarInfoKey(MALLORY, thing.path.hash_part), thing.narinfo.render())
    target.run()
    target.rejection(thing.path)
    assert _votes(target, thing.path) == [str(VoteKey(thing.path.hash_part, ALICE))]
    assert target.result(thing.path, ALICE).verdict == ONE_OF_TWO


def test_a_path_that_is_voted_for_and_then_swapped(target: Target, objects: Objects) -> None:
    """I2 and I3: the vote is for what was proven, whatever lies in staging by then, and it cannot be taken back."""
    good, evil = objects.build("voted-glibc"), objects.build("voted-glibc", text="evil")
    target.attack(good)
    target.attack(evil)
    verdict = target.result(good.path, MALLORY).verdict
    assert verdict == Conflict(good.narinfo.nar_hash, evil.narinfo.nar_hash, Against.VOTE)
    target.upload(StagingNarKey(MALLORY, NarFile.parse_url(good.narinfo.url)), evil.file)
    target.attack(good, ALICE)
    assert target.result(good.path, ALICE).verdict == Published((KEY.name,))
    published = target.published(good.path)
    assert published is not None
    assert target.cache.read(published.url) == good.file
    assert target.result(good.path, MALLORY).verdict == Conflict(good.narinfo.nar_hash, evil.narinfo.nar_hash)


def test_a_builder_cannot_stand_on_both_sides(target: Target, objects: Objects) -> None:
    """I1: or it would be everybody's quorum."""
    first, second = objects.build("voted-glibc"), objects.build("voted-glibc", text="second")
    target.attack(first)
    target.attack(second)
    target.attack(second, ALICE)
    assert target.cache.keys() == []
    target.attack(first, BOB)
    published = target.published(first.path)
    assert published is not None
    assert published.nar_hash == first.narinfo.nar_hash


def test_false_votes_do_not_keep_those_who_agree_from_publishing(target: Target, objects: Objects) -> None:
    """Two builders of the attacker's vote first, for something else: it is seen, and changes nothing."""
    good, evil = objects.build("voted-glibc"), objects.build("voted-glibc", text="evil")
    target.attack(evil, MALLORY)
    target.attack(evil, MALLORY_2)
    target.attack(good, ALICE)
    verdict = target.result(good.path, ALICE).verdict
    assert verdict == Conflict(evil.narinfo.nar_hash, good.narinfo.nar_hash, Against.VOTE)
    target.attack(good, BOB)
    published = target.published(good.path)
    assert published is not None
    assert published.nar_hash == good.narinfo.nar_hash
    for builder in (MALLORY, MALLORY_2):
        assert target.result(good.path, builder).verdict == Conflict(good.narinfo.nar_hash, evil.narinfo.nar_hash)


@pytest.mark.parametrize("address", ["fixed:r:{hash}", "fixed:{hash}", "text:{hash}", "fixed:r:sha1:" + "0" * 32])
def test_a_content_address_that_does_not_hold_is_no_way_around_a_quorum(
    target: Target, objects: Objects, address: str
) -> None:
    """I1: what needs nobody's word is proven by its bytes, or rejected."""
    evil = objects.build("voted-glibc", text="evil")
    target.attack(evil.claiming(ca=ContentAddress.parse(address.replace("{hash}", str(evil.narinfo.nar_hash)))))
    assert target.rejection(evil.path).code == "ca-mismatch"
    assert _votes(target, evil.path) == []


def test_other_references_are_another_vote(target: Target, objects: Objects) -> None:
    """I1: the same bytes with a shorter closure: whoever agrees, agrees on all that the signature covers."""
    leaf = objects.build("leaf")
    thing = objects.build("voted-top", [leaf])
    target.attack(leaf, ALICE)
    target.attack(thing.claiming(references=()))
    target.attack(thing, ALICE)
    assert target.result(thing.path, ALICE).verdict == Conflict(
        thing.narinfo.nar_hash, thing.narinfo.nar_hash, Against.VOTE
    )
    assert target.published(thing.path) is None


@pytest.mark.parametrize("change", ["the builder is dismissed", "its trust group is joined with the other's"])
def test_a_vote_counts_as_the_policy_of_the_day_says(target: Target, objects: Objects, change: str) -> None:
    """I1: an operator who learns that a builder was taken over takes its votes away with one deployment."""
    thing = objects.build("voted-glibc")
    target.attack(thing)
    rules = dict(POLICY.builders)
    if change == "the builder is dismissed":
        del rules[MALLORY]
    else:
        rules[MALLORY] = replace(rules[MALLORY], trust_group=rules[ALICE].trust_group)
    target.policy = SubmissionPolicy(rules, POLICY.quorum)
    target.attack(thing, ALICE)
    assert target.result(thing.path, ALICE).verdict == ONE_OF_TWO
    target.attack(thing, BOB)
    assert target.result(thing.path, BOB).verdict.kind is Kind.PUBLISHED
