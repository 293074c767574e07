"""Objects that change, go, or come again while they are judged: a verdict is about one version (I2, I3, I6)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from nixcache.store_path import StorePath
from protocol.keys import BuilderName, NarFile, StagingNarInfoKey, StagingNarKey
from protocol.verdicts import Conflict, Duplicate, Published, Rejected
from tests.adversary.target import MALLORY, Target, on
from tests.concurrency.deployment import ALICE, BOB, KEY
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import StoreObject
from tests.ingest.world import s3_event
from tests.simulator.requests import Request

PUBLISHED = Published((KEY.name,))


def _nar_key(thing: StoreObject, builder: BuilderName = MALLORY) -> StagingNarKey:
    return StagingNarKey(builder, NarFile.parse_url(thing.narinfo.url))


def _event(thing: StoreObject, builder: BuilderName, version_id: str) -> str:
    return s3_event("staging", str(StagingNarInfoKey(builder, thing.path.hash_part)), version_id=version_id)


def _at_each_request(objects: Objects, attack: Callable[[Target], object]) -> list[Target]:
    """Return deployments that each judged the same true submission of Mallory's, attacked ahead of another request."""
    thing = objects.build("leaf")
    quiet = Target()
    quiet.attack(thing)
    targets = []
    for moment in range(len(quiet.requests)):
        target = Target()
        done: list[int] = []

        def strike(_: Request, target: Target = target, moment: int = moment, done: list[int] = done) -> None:
            if len(target.requests) == moment + 1 and not done:
                done.append(moment)
                attack(target)

        target.submit(thing, MALLORY)
        target.run(strike)
        assert done == [moment]
        target.check()
        targets.append(target)
    return targets


def test_a_nar_that_is_swapped_at_any_moment(objects: Objects) -> None:
    """I2: what is published is what was verified, or nothing is. Half of it is neither."""
    good, evil = objects.build("leaf"), objects.build("leaf", text="evil")
    outcomes = []
    for target in _at_each_request(objects, lambda target: target.upload(_nar_key(good), evil.file)):
        verdict = target.result(good.path, MALLORY).verdict
        outcomes.append(verdict.kind)
        if isinstance(verdict, Rejected):
            assert verdict.code in {
                "file-hash-mismatch",
                "nar-hash-mismatch",
                "file-size-mismatch",
                "nar-size-mismatch",
            }
            assert target.cache.keys() == []
        else:
            published = target.published(good.path)
            assert published is not None
            assert target.cache.read(published.url) == good.file
    assert set(outcomes) == {"published", "rejected"}


def test_a_narinfo_that_is_replaced_at_any_moment_is_another_submission(objects: Objects) -> None:
    """I2 and I3: the pinned one keeps its verdict, the newer one gets its own, and readers never see a mixture."""
    good, evil = objects.build("leaf"), objects.build("leaf", text="evil")
    expected = Target()
    expected.attack(good)
    for target in _at_each_request(objects, lambda target: target.submit(evil, MALLORY)):
        assert target.visible(good.path) == expected.visible(good.path)
        result = target.result(good.path, MALLORY)
        assert result.verdict == Conflict(good.narinfo.nar_hash, evil.narinfo.nar_hash)
        newest = target.staging.current(str(StagingNarInfoKey(MALLORY, good.path.hash_part)))
        assert newest is not None
        assert result.version_id == newest.version_id
        assert result.disputed_by == (), "nobody disputes with himself"


@pytest.mark.parametrize("what", ["NAR", "narinfo"])
@pytest.mark.parametrize("for_good", [True, False], ids=["for good", "under a delete marker"])
def test_an_object_that_is_deleted_at_any_moment(objects: Objects, what: str, *, for_good: bool) -> None:
    """I6: a lifecycle rule, an operator: the submission ends as published or rejected, and never half."""
    thing = objects.build("leaf")
    key = str(_nar_key(thing) if what == "NAR" else StagingNarInfoKey(MALLORY, thing.path.hash_part))

    def delete(target: Target) -> None:
        version = target.staging.current(key)
        assert version is not None
        if for_good:
            target.connect().s3.delete_object(Bucket="staging", Key=key, VersionId=version.version_id)
        else:
            target.connect().s3.delete_object(Bucket="staging", Key=key)

    outcomes = []
    for target in _at_each_request(objects, delete):
        verdict = target.result(thing.path, MALLORY).verdict
        outcomes.append(verdict.kind)
        if isinstance(verdict, Rejected):
            assert verdict.code == ("nar-missing" if what == "NAR" else "narinfo-missing")
            assert target.narinfos() == []
        else:
            assert verdict == PUBLISHED
    hidden_pinned_narinfo = what == "narinfo" and not for_good
    assert set(outcomes) == ({"published"} if hidden_pinned_narinfo else {"published", "rejected"})


def test_an_old_version_that_is_replayed_tells_nothing_new(target: Target, objects: Objects) -> None:
    """I3 and I6: a once valid version comes again after a newer one: neither cache nor result goes back to it."""
    old, new = objects.build("leaf", text="with a hole"), objects.build("leaf", text="mended")
    first = target.submit(old, MALLORY)
    target.queue.delete(target.queue.receive()[0].receipt_handle)  # its event is kept back
    second = target.submit(new, MALLORY)
    target.run()
    before, result = target.state(), target.result(new.path, MALLORY)
    assert (result.version_id, result.verdict) == (second, PUBLISHED)
    for _ in range(3):
        assert target.deliver(_event(old, MALLORY, first))
        assert target.result(new.path, MALLORY) == result
    assert target.state() == before


def test_an_old_version_does_not_take_a_path_back_that_another_has_published(target: Target, objects: Objects) -> None:
    """I3: its NAR and narinfo were true, and are still there; it is too late all the same."""
    old, theirs = objects.build("leaf", text="old"), objects.build("leaf", text="theirs")
    version_id = target.submit(old, MALLORY)
    target.queue.delete(target.queue.receive()[0].receipt_handle)
    target.attack(theirs, ALICE)
    seen = target.visible(theirs.path)
    assert target.deliver(_event(old, MALLORY, version_id))
    assert target.visible(theirs.path) == seen
    assert target.result(old.path, MALLORY).verdict == Conflict(theirs.narinfo.nar_hash, old.narinfo.nar_hash)
    assert target.result(theirs.path, ALICE).verdict == PUBLISHED
    assert target.deliver(_event(theirs, ALICE, target.result(theirs.path, ALICE).version_id))
    assert target.result(theirs.path, ALICE).verdict == PUBLISHED


def test_a_rejected_version_that_is_replayed_does_not_unsay_a_publication(target: Target, objects: Objects) -> None:
    leaf = objects.build("leaf")
    bad = target.upload(StagingNarInfoKey(MALLORY, leaf.path.hash_part), b"nonsense")
    target.run()
    assert target.rejection(leaf.path).code == "narinfo-malformed"
    target.attack(leaf)
    assert target.deliver(_event(leaf, MALLORY, bad))
    assert target.result(leaf.path, MALLORY).verdict == PUBLISHED


def test_a_version_of_another_builders_is_not_found_under_ones_own_key(objects: Objects) -> None:
    """I8: a version id belongs to its key. The result repeats it, since the event brought it."""
    target = Target()
    leaf = objects.build("leaf")
    version_id = target.submit(leaf, ALICE)
    target.queue.delete(target.queue.receive()[0].receipt_handle)
    target.upload(StagingNarInfoKey(MALLORY, leaf.path.hash_part), leaf.narinfo.render())
    target.queue.delete(target.queue.receive()[0].receipt_handle)
    assert target.deliver(_event(leaf, MALLORY, version_id))
    assert target.rejection(leaf.path).code == "narinfo-missing"
    assert target.cache.keys() == []


def test_two_narinfos_that_take_turns_on_one_nar_key(target: Target, objects: Objects) -> None:
    """I2: a NAR's key is the builder's to overwrite, so each submission is proven over what it finds there."""
    one, other = objects.build("one"), objects.build("other")
    lie = other.claiming(url=one.narinfo.url)
    target.upload(_nar_key(one), one.file)
    target.upload(StagingNarInfoKey(MALLORY, one.path.hash_part), one.narinfo.render())
    target.run(on("CopyObject", ".nar.zst", lambda: target.upload(_nar_key(one), other.file)))
    target.upload(StagingNarInfoKey(MALLORY, lie.path.hash_part), lie.narinfo.render())
    target.run(on("CopyObject", ".nar.zst", lambda: target.upload(_nar_key(one), one.file)))
    for thing in (one, other):
        published = target.published(thing.path)
        assert published is not None
        assert target.cache.read(published.url) == thing.file


def test_a_resubmitted_path_is_a_duplicate_whatever_its_nar_is_by_then(target: Target, objects: Objects) -> None:
    """I2: nothing of it is read any more, so nothing of it is published either."""
    leaf, evil = objects.build("leaf"), objects.build("leaf", text="evil")
    target.attack(leaf, ALICE)
    target.upload(_nar_key(leaf, BOB), evil.file)
    target.upload(StagingNarInfoKey(BOB, leaf.path.hash_part), leaf.narinfo.render())
    before = len(target.requests)
    target.run()
    assert target.result(leaf.path, BOB).verdict == Duplicate()
    assert not [request for request in target.requests[before:] if request.operation == "CopyObject"]
    published = target.published(leaf.path)
    assert published is not None
    assert target.cache.read(published.url) == leaf.file
    assert json.loads(target.cache.read(f"{leaf.path.hash_part}.ls") or b"")["version"] == 1


def test_a_nar_that_was_made_to_look_like_an_orphan_stays(target: Target, objects: Objects) -> None:
    """I4: losing a race on purpose, with another path's bytes, has their file listed; ingest deletes nothing."""
    leaf = objects.build("leaf")
    mine = leaf.claiming(store_path=StorePath(objects.build("other").path.hash_part, "other"))
    theirs = objects.build("other")
    target.attack(leaf, ALICE)
    published = target.published(leaf.path)
    assert published is not None

    def lose() -> None:
        target.submit(theirs, BOB)
        message = target.queue.messages[-1]
        assert target.queue.take(message)
        assert target.container()(message)

    target.submit(mine, MALLORY)
    target.run(on("PutObject", f"{mine.path.hash_part}.narinfo", lose))
    assert target.ledger.keys("orphans/") == [f"orphans/{published.url.removeprefix('nar/')}"]
    assert target.cache.read(published.url) == leaf.file
    assert not [request for request in target.requests if request.operation.startswith("Delete")]
