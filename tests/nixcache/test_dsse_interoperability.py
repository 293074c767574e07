"""The independent witness: securesystemslib, with OpenSSL's Ed25519, reads what we write, and we what it writes."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib import dsse
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from nixcache.dsse import Envelope, pae
from nixcache.errors import Code, PermanentError
from nixcache.signature import PublicKey
from nixcache.signing import SecretKey
from nixcache.statement import PAYLOAD_TYPE, Statement
from tests.nixcache.provenances import ENVELOPE, KEY, STATEMENT, STATEMENT_JSON
from tests.nixcache.strategies import statements


def sslib_key(key: PublicKey) -> SSlibKey:
    return SSlibKey(key.name, "ed25519", "ed25519", {"public": key.raw.hex()})


def theirs(envelope: Envelope) -> dsse.Envelope:
    return dsse.Envelope.from_dict(json.loads(envelope.to_json()))


def seed(key: SecretKey) -> bytes:
    return bytes(key._key)


def signed_by_them(key: SecretKey, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    private = Ed25519PrivateKey.from_private_bytes(seed(key))
    envelope = dsse.Envelope(payload, payload_type, {})
    envelope.sign(CryptoSigner(private, sslib_key(key.public_key)))
    return json.dumps(envelope.to_dict()).encode()


@given(st.text(max_size=20), st.binary(max_size=40))
def test_they_sign_the_same_bytes(payload_type: str, payload: bytes) -> None:
    assert pae(payload_type, payload) == dsse.Envelope(payload, payload_type, {}).pae()


@given(statements())
def test_they_verify_what_we_attest(statement: Statement) -> None:
    envelope = theirs(KEY.attest(statement))
    assert list(envelope.verify([sslib_key(KEY.public_key)], 1)) == [KEY.name]
    assert envelope.payload == statement.to_json()


def test_they_refuse_what_we_refuse() -> None:
    other = SecretKey.generate(KEY.name)
    with pytest.raises(VerificationError):
        theirs(ENVELOPE).verify([sslib_key(other.public_key)], 1)
    swapped = theirs(Envelope(PAYLOAD_TYPE, STATEMENT_JSON + b" ", ENVELOPE.signatures))
    with pytest.raises(VerificationError):
        swapped.verify([sslib_key(KEY.public_key)], 1)


@given(statements())
def test_we_verify_what_they_sign(statement: Statement) -> None:
    """Byte for byte our own: Ed25519 is deterministic, whoever implements it."""
    envelope = Envelope.from_json(signed_by_them(KEY, statement.to_json()))
    assert envelope == KEY.attest(statement)
    assert Statement.from_envelope(envelope, (KEY.public_key,)) == statement


def test_we_refuse_what_another_key_signed_with_them() -> None:
    other = SecretKey.generate(KEY.name)
    envelope = Envelope.from_json(signed_by_them(other, STATEMENT.to_json()))
    with pytest.raises(PermanentError) as caught:
        envelope.verify((KEY.public_key,))
    assert caught.value.code is Code.ATTESTATION_UNSIGNED


def test_a_statement_that_they_laid_out_otherwise_is_the_same() -> None:
    """What is signed is bytes: nobody has to agree on how JSON is written."""
    spread = json.dumps(json.loads(STATEMENT_JSON), indent=4).encode()
    assert Statement.from_envelope(Envelope.from_json(signed_by_them(KEY, spread)), (KEY.public_key,)) == STATEMENT
