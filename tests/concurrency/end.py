"""What must be true when nothing is left to be done, whatever the order in which it was done."""

from __future__ import annotations

from collections.abc import Mapping

from nixcache.dsse import Envelope
from nixcache.narinfo import NarInfo
from nixcache.statement import Statement
from protocol.keys import BuilderName, CacheListingKey, ProvenanceKey, VoteKey, WaitingKey
from protocol.results import Result
from protocol.verdicts import Against, AwaitingQuorum, Conflict, Duplicate, Published, Waiting
from tests.concurrency.deployment import KEY, SimulatedDeployment
from tests.ingest.store_objects import StoreObject

Last = Mapping[tuple[BuilderName, str], tuple[StoreObject, str]]
"""Of each builder and name, what was submitted last, and as which version."""


def check_end(deployment: SimulatedDeployment, last: Last) -> None:
    """Assert that each builder reads the one verdict that there can be on what it submitted last."""
    assert deployment.queue.messages == []
    assert deployment.queue.dead_letters == []
    for (builder, _), (thing, version_id) in last.items():
        result = deployment.result(thing.path, builder)
        assert result.version_id == version_id, "the verdict is not on the newest version"
        published = deployment.published(thing.path)
        if published is not None:
            _check_published(deployment, builder, thing, result, published)
        elif missing := [path for path in thing.narinfo.references if deployment.published(path) is None]:
            _check_waiting(deployment, builder, thing, result)
            assert result.verdict == Waiting(tuple(missing)) or set(missing) < set(result.verdict.missing)  # type: ignore[union-attr]
        else:
            _check_quorum(deployment, builder, thing, result)


def _check_published(
    deployment: SimulatedDeployment, builder: BuilderName, thing: StoreObject, result: Result, published: NarInfo
) -> None:
    publisher = _publisher(deployment, published)
    listing = deployment.cache.read(str(CacheListingKey(published.store_path.hash_part)))
    assert listing, f"{published.store_path.name} has no listing"
    if published.fingerprint() == thing.narinfo.fingerprint():
        assert result.verdict in (Published((KEY.name,)), Duplicate())
        return
    assert result.verdict == Conflict(published.nar_hash, thing.narinfo.nar_hash)
    if publisher != builder:
        told = deployment.result(thing.path, publisher)
        assert thing.narinfo.nar_hash in told.disputed_by, f"{publisher} does not know that it is disputed"


def _publisher(deployment: SimulatedDeployment, published: NarInfo) -> BuilderName:
    """Return who published it, as its provenance says, which our key has signed."""
    data = deployment.ledger.read(str(ProvenanceKey(published.store_path.hash_part)))
    assert data, f"{published.store_path.name} has no provenance"
    statement = Statement.from_envelope(Envelope.from_json(data), [KEY.public_key])
    assert statement.is_about(published)
    return BuilderName(str(statement.predicate["builder"]))


def _check_waiting(deployment: SimulatedDeployment, builder: BuilderName, thing: StoreObject, result: Result) -> None:
    assert isinstance(result.verdict, Waiting)
    first = result.verdict.missing[0]
    assert deployment.published(first) is None, "nobody woke it"
    _check_will_be_woken(deployment, WaitingKey(first.hash_part, builder, thing.path.hash_part))


def _check_quorum(deployment: SimulatedDeployment, builder: BuilderName, thing: StoreObject, result: Result) -> None:
    need = deployment.policy.quorum_for(thing.path)
    assert need > 1, f"{thing.path.name} has all that it needs and is not published"
    votes = {
        VoteKey.parse(key).builder: str(thing.narinfo.nar_hash).encode() in (deployment.ledger.read(key) or b"")
        for key in deployment.ledger.keys(VoteKey.prefix(thing.path.hash_part))
    }
    have = sum(votes.values())
    assert have < need
    if votes[builder]:
        _check_will_be_woken(deployment, WaitingKey(thing.path.hash_part, builder, thing.path.hash_part))
    if all(votes.values()):
        assert result.verdict == AwaitingQuorum(have, need)
    else:
        assert isinstance(result.verdict, Conflict)
        assert result.verdict.against is Against.VOTE


def _check_will_be_woken(deployment: SimulatedDeployment, marker: WaitingKey) -> None:
    assert deployment.ledger.read(str(marker)) is not None, "nobody will wake it: it has no marker"
    announcement = deployment.ledger.read(str(ProvenanceKey(marker.missing)))
    assert announcement == b"", "nobody will wake it: it has announced itself nowhere"
