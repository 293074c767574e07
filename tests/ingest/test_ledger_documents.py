"""What ingest reads back of what it wrote: votes, and whose publication a provenance tells of."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.ingest import provenance
from lambdas.ingest.quorum import Agreement
from lambdas.ingest.submission import Submission
from lambdas.ingest.vote import Vote
from nixcache.compression import Compression
from nixcache.dsse import Envelope, EnvelopeSignature
from nixcache.errors import TransientError
from nixcache.statement import PAYLOAD_TYPE
from protocol.keys import StagingNarInfoKey
from protocol.results import Result
from protocol.settings import DEFAULT_REFERENCE_POLICY
from protocol.verdicts import PublicationWarning, Published
from tests.ingest.store_objects import pack, sha256, store_path
from tests.ingest.world import ALICE, BOB, KEY

AT = datetime(2026, 11, 22, 12, 30, 15, 123000, tzinfo=UTC)
LEAF, OTHER = store_path("leaf"), store_path("other")
SUBMISSION = Submission(StagingNarInfoKey(ALICE, LEAF.hash_part), "v1")
NARINFO = pack(LEAF, b"x", (LEAF, OTHER), Compression.ZSTD).narinfo
VOTE = Vote(
    submission=SUBMISSION,
    store_path=LEAF,
    nar_hash=NARINFO.nar_hash,
    nar_size=NARINFO.nar_size,
    references=NARINFO.references,
    at=AT,
)
PUBLISHED = Published((KEY.name, "upstream-1"), (PublicationWarning("reference-undeclared", "One.", (OTHER,)),))
STATEMENT = provenance.state(NARINFO, SUBMISSION, PUBLISHED, Agreement(1), DEFAULT_REFERENCE_POLICY, at=AT)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_a_vote_reads_back() -> None:
    assert Vote.from_json(VOTE.to_json(), VOTE.key) == VOTE


def test_a_vote_is_its_own_builders_on_its_own_path() -> None:
    """A copy of it under another key would be a second voter's."""
    for key in (replace(VOTE.key, builder=BOB), replace(VOTE.key, hash_part=OTHER.hash_part)):
        with pytest.raises(TransientError, match="another's"):
            Vote.from_json(VOTE.to_json(), key)


def test_votes_agree_on_all_that_a_signature_covers_and_on_nothing_else() -> None:
    again = replace(VOTE, submission=Submission(replace(SUBMISSION.key, builder=BOB), "v2"), at=AT.replace(hour=1))
    assert again.agrees_with(VOTE)
    for other in (
        replace(VOTE, store_path=OTHER),
        replace(VOTE, nar_hash=sha256(b"y")),
        replace(VOTE, nar_size=2),
        replace(VOTE, references=(LEAF,)),
    ):
        assert not other.agrees_with(VOTE)


@given(st.data())
def test_any_document_is_a_vote_or_nobodys_fault(data: st.DataObject) -> None:
    document = json.loads(VOTE.to_json())
    document.update(data.draw(st.dictionaries(st.sampled_from(sorted(document)), JSON, max_size=2)))
    text = json.dumps(document).encode()
    text = data.draw(st.sampled_from([text, text[: data.draw(st.integers(0, len(text)))]]) | st.binary())
    try:
        vote = Vote.from_json(text, VOTE.key)
    except TransientError:
        return
    assert Vote.from_json(vote.to_json(), VOTE.key) == vote


def test_a_publication_is_known_from_its_provenance() -> None:
    """Its result can be written from it, as its own container would."""
    expected = Result(submission=SUBMISSION.key, version_id="v1", store_path=LEAF, verdict=PUBLISHED, at=AT)
    assert provenance.publication(KEY.attest(STATEMENT).to_json(), LEAF) == expected


def _envelope(payload: bytes) -> bytes:
    return Envelope(PAYLOAD_TYPE, payload, (EnvelopeSignature("", b""),)).to_json()


@given(st.data())
def test_any_provenance_tells_of_a_publication_or_is_nobodys_fault(data: st.DataObject) -> None:
    document = json.loads(STATEMENT.to_json())
    predicate = document["predicate"]
    predicate.update(data.draw(st.dictionaries(st.sampled_from(sorted(predicate)), JSON, max_size=2)))
    text = json.dumps(document).encode()
    payload = data.draw(st.just(text) | st.just(b'{"predicate": []}') | st.binary())
    try:
        result = provenance.publication(data.draw(st.just(_envelope(payload)) | st.binary()), LEAF)
    except TransientError:
        return
    assert Result.from_json(result.to_json()).submission == result.submission


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"predicate":' * 100_000], ids=["lists", "objects"])
def test_nesting_is_nobodys_fault_either(text: bytes) -> None:
    with pytest.raises(TransientError):
        Vote.from_json(text, VOTE.key)
    with pytest.raises(TransientError):
        provenance.publication(_envelope(text), LEAF)
