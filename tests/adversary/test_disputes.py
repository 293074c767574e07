"""One builder that contradicts everybody: all is bounded, nothing is replaced, and nobody is named (I3, I7, I8)."""

from __future__ import annotations

import json

import pytest

from nixcache.dsse import Envelope
from nixcache.errors import PermanentError
from nixcache.signing import SecretKey
from nixcache.statement import Statement
from protocol.keys import ProvenanceKey
from protocol.results import MAX_DISPUTES
from protocol.verdicts import Conflict, Published
from tests.adversary.target import MALLORY, MALLORY_2, Target
from tests.concurrency.deployment import ALICE, BOB, KEY
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import sha256

PUBLISHED = Published((KEY.name,))


def test_a_builder_that_disputes_everything_fills_a_short_list(target: Target, objects: Objects) -> None:
    """I7 and I8: the first few hashes, without a name. A dispute costs a bounded number of requests."""
    leaf = objects.build("leaf")
    target.attack(leaf, ALICE)
    seen = target.visible(leaf.path)
    lies = [sha256(str(number).encode()) for number in range(3 * MAX_DISPUTES)]
    for position, lie in enumerate(lies):
        before = len(target.requests)
        target.attack(leaf.claiming(nar_hash=lie), (MALLORY, MALLORY_2)[position % 2])
        assert len(target.requests) - before <= 12
    assert target.result(leaf.path, ALICE).disputed_by == tuple(lies[:MAX_DISPUTES])
    assert target.result(leaf.path, ALICE).verdict == PUBLISHED
    assert target.visible(leaf.path) == seen
    size = len(target.ledger.read(f"results/alice/{leaf.path.hash_part}.json") or b"")
    assert size < 2000
    # Its publisher's list is full; who comes with a true objection is told all the same, and so are the operators.
    other = objects.build("leaf", text="other")
    target.attack(other, BOB)
    assert target.result(leaf.path, BOB).verdict == Conflict(leaf.narinfo.nar_hash, other.narinfo.nar_hash)


def test_the_same_dispute_again_and_again_is_one(target: Target, objects: Objects) -> None:
    leaf, other = objects.build("leaf"), objects.build("leaf", text="other")
    target.attack(leaf, ALICE)
    for _ in range(5):
        target.attack(other, MALLORY)
        target.attack(other, MALLORY_2)
    assert target.result(leaf.path, ALICE).disputed_by == (other.narinfo.nar_hash,)


def test_a_dispute_does_not_reach_the_results_of_anybody_else(target: Target, objects: Objects) -> None:
    """I8: who had the same object as a duplicate is not told, and nothing is written in the name of a third."""
    leaf, other = objects.build("leaf"), objects.build("leaf", text="other")
    target.attack(leaf, ALICE)
    target.attack(leaf, BOB)
    before = target.ledger.read(f"results/bob/{leaf.path.hash_part}.json")
    target.attack(other)
    assert target.ledger.read(f"results/bob/{leaf.path.hash_part}.json") == before
    assert len(target.ledger.keys("results/")) == 3


@pytest.mark.parametrize("planted", [b"garbage", b"{}", b'{"payload": "e30=", "payloadType": "x", "signatures": []}'])
def test_provenance_that_nobody_of_ours_wrote_is_no_verdict(target: Target, objects: Objects, planted: bytes) -> None:
    """I6: whoever publishes writes over what cannot be ours; the bucket keeps the old version for whoever asks."""
    leaf, other = objects.build("leaf"), objects.build("leaf", text="other")
    key = str(ProvenanceKey(leaf.path.hash_part))
    target.connect().s3.put_object(Bucket="ledger", Key=key, Body=planted)
    target.attack(leaf, ALICE)
    assert target.result(leaf.path, ALICE).verdict == PUBLISHED
    attested = Statement.from_envelope(Envelope.from_json(target.ledger.read(key) or b""), [KEY.public_key])
    assert attested.is_about(leaf.narinfo)
    target.attack(other, BOB)
    assert target.result(leaf.path, BOB).verdict == Conflict(leaf.narinfo.nar_hash, other.narinfo.nar_hash)
    assert target.result(leaf.path, ALICE).disputed_by == (other.narinfo.nar_hash,)


def test_provenance_of_another_key_is_seen_by_whoever_checks_it(target: Target, objects: Objects) -> None:
    """A forger of the ledger without the signing key can say who built a path, and nobody has to believe it."""
    leaf = objects.build("leaf")
    target.attack(leaf, ALICE)
    key = str(ProvenanceKey(leaf.path.hash_part))
    true = Envelope.from_json(target.ledger.read(key) or b"")
    statement = Statement.from_envelope(true, [KEY.public_key])
    assert statement.predicate["builder"] == "alice"
    forged = SecretKey.generate(KEY.name).attest(statement)
    moved = json.loads(true.to_json()) | {"payload": json.loads(forged.to_json())["payload"][:-8] + "AAAAAAA="}
    for envelope in (forged, Envelope.from_json(json.dumps(moved).encode())):
        with pytest.raises(PermanentError) as caught:
            Statement.from_envelope(envelope, [KEY.public_key])
        assert caught.value.code == "attestation-unsigned"
