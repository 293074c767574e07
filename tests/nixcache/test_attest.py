"""I1 beside attestations: one key signs both, and neither signature can be taken for the other."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nixcache.dsse import Envelope, EnvelopeSignature, pae
from nixcache.errors import Code, PermanentError
from nixcache.narinfo import NarInfo
from nixcache.signature import PublicKey, Signature
from nixcache.statement import PAYLOAD_TYPE, Statement
from nixcache.store_path import NIX_STORE
from nixcache.verify import verify
from tests.nixcache.golden import HELLO_NAR, HELLO_NARINFO, HELLO_SIGNATURE, PUBLIC_KEY
from tests.nixcache.provenances import ENVELOPE, KEY, STATEMENT, STATEMENT_JSON
from tests.nixcache.strategies import narinfos, statements

TRUSTED = PublicKey.parse(PUBLIC_KEY)
NARINFO = NarInfo.parse(HELLO_NARINFO, NIX_STORE)


def unsigned(envelope: Envelope) -> bool:
    try:
        envelope.verify((TRUSTED,))
    except PermanentError as error:
        return error.code is Code.ATTESTATION_UNSIGNED
    return False


def test_a_statement_in_its_envelope() -> None:
    assert (ENVELOPE.payload_type, ENVELOPE.payload) == (PAYLOAD_TYPE, STATEMENT_JSON)
    assert [signature.keyid for signature in ENVELOPE.signatures] == ["cache.example.org-1"]
    assert KEY.attest(STATEMENT) == ENVELOPE, "Ed25519 is deterministic"


@given(statements())
def test_what_is_attested_verifies(statement: Statement) -> None:
    envelope = Envelope.from_json(KEY.attest(statement).to_json())
    assert Statement.from_envelope(envelope, (TRUSTED,)) == statement


@pytest.mark.parametrize(
    "thing",
    [
        STATEMENT_JSON,
        STATEMENT_JSON.decode(),
        NARINFO.fingerprint(),
        pae(PAYLOAD_TYPE, STATEMENT_JSON),
        NARINFO,
        verify(NARINFO, [HELLO_NAR]),
        ENVELOPE,
        {},
        None,
        Statement,
    ],
    ids=["bytes", "text", "fingerprint", "PAE", "narinfo", "verified", "envelope", "dict", "None", "the type"],
)
def test_nothing_but_a_statement_is_attested(thing: object) -> None:
    """I1: no bytes of a caller reach the key."""
    with pytest.raises(TypeError, match="Only a Statement is attested"):
        KEY.attest(thing)  # type: ignore[arg-type]


def test_a_subclass_that_renders_what_it_likes_is_not_attested() -> None:
    """I1: nor does inheritance get other bytes in."""

    class Forged(Statement):  # type: ignore[misc]
        def to_json(self) -> bytes:
            return NARINFO.fingerprint()

    forged = Forged(**{field.name: getattr(STATEMENT, field.name) for field in dataclasses.fields(STATEMENT)})
    with pytest.raises(TypeError, match="not a Forged"):
        KEY.attest(forged)


def test_a_statement_is_not_signed_as_a_store_object() -> None:
    with pytest.raises(TypeError, match="Only a VerifiedStoreObject is signed"):
        KEY.sign(STATEMENT)  # type: ignore[arg-type]


@given(st.text(), st.binary(), narinfos())
@example("", NARINFO.fingerprint(), NARINFO)
@example("1;/nix/store/", b"", NARINFO)
def test_no_envelope_is_signed_as_any_store_object_is(payload_type: str, payload: bytes, narinfo: NarInfo) -> None:
    """I1: whatever is attested, the bytes that the key signs begin as no fingerprint does."""
    attested, fingerprint = pae(payload_type, payload), narinfo.fingerprint()
    assert attested.startswith(b"DSSEv1 ")
    assert fingerprint.startswith(b"1;/")
    assert attested != fingerprint


@given(statements(), narinfos())
@example(STATEMENT, NARINFO)
def test_an_attestations_signature_signs_no_narinfo(statement: Statement, narinfo: NarInfo) -> None:
    """I1: not even one of the same store object."""
    of_same = dataclasses.replace(
        narinfo, store_dir=statement.store_dir, store_path=statement.store_path, nar_hash=statement.nar_hash
    )
    (signature,) = KEY.attest(statement).signatures
    for claim in (narinfo, of_same):
        moved = dataclasses.replace(claim, signatures=(Signature(KEY.name, signature.raw),))
        assert not moved.is_signed_by(TRUSTED)


@pytest.mark.parametrize("payload_type", ["", PAYLOAD_TYPE, "1;"])
@pytest.mark.parametrize("payload", [NARINFO.fingerprint(), b"", STATEMENT_JSON], ids=["fingerprint", "none", "json"])
def test_a_store_objects_signature_attests_nothing(payload_type: str, payload: bytes) -> None:
    """And the other way round: what every narinfo shows is no provenance."""
    raw = Signature.parse(HELLO_SIGNATURE).raw
    assert NARINFO.is_signed_by(TRUSTED), "the signature holds where it belongs"
    assert unsigned(Envelope(payload_type, payload, (EnvelopeSignature(KEY.name, raw),)))


def test_what_is_signed_is_dsses_encoding_and_not_the_payload() -> None:
    """A signature over the bare payload would hold for whoever gets other bytes to be a payload."""
    (signature,) = ENVELOPE.signatures
    assert TRUSTED.verifies(pae(PAYLOAD_TYPE, STATEMENT_JSON), Signature(KEY.name, signature.raw))
    assert not TRUSTED.verifies(STATEMENT_JSON, Signature(KEY.name, signature.raw))


def test_another_type_under_the_same_key_is_no_statement() -> None:
    """DSSE's order: verify, then ask for the type, then read."""
    raw = KEY._key.sign(pae("application/other", STATEMENT_JSON)).signature
    envelope = Envelope("application/other", STATEMENT_JSON, (EnvelopeSignature(KEY.name, raw),))
    assert envelope.verify((TRUSTED,)) == (KEY.name,)
    with pytest.raises(PermanentError) as caught:
        Statement.from_envelope(envelope, (TRUSTED,))
    assert (caught.value.code, caught.value.field) == (Code.ATTESTATION_MALFORMED, "payloadType")
