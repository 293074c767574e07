"""DSSE envelopes: what is signed, what is read, and whose signature counts."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nixcache.dsse import MAX_ENVELOPE_SIGNATURES, MAX_ENVELOPE_SIZE, Envelope, EnvelopeSignature, pae
from nixcache.errors import Code, PermanentError
from nixcache.signature import PublicKey
from nixcache.signing import SecretKey
from tests.nixcache.golden import PUBLIC_KEY
from tests.nixcache.outcomes import Failure, outcome
from tests.nixcache.provenances import ENVELOPE, KEY, STATEMENT, STATEMENT_JSON
from tests.nixcache.strategies import mutations

TRUSTED = PublicKey.parse(PUBLIC_KEY)
DOCUMENT = json.loads(ENVELOPE.to_json())
SIGNATURE = DOCUMENT["signatures"][0]


def changed(**fields: object) -> bytes:
    return json.dumps({**DOCUMENT, **fields}).encode()


def refusal(data: bytes) -> Failure:
    refused = outcome(lambda: Envelope.from_json(data))
    assert isinstance(refused, Failure)
    assert refused.code == Code.ATTESTATION_MALFORMED
    return refused


def unsigned(envelope: Envelope, *keys: PublicKey) -> None:
    with pytest.raises(PermanentError) as caught:
        envelope.verify(keys)
    assert caught.value.code is Code.ATTESTATION_UNSIGNED


def test_what_is_signed_is_what_the_specification_says() -> None:
    """The example of DSSE's protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_lengths_are_of_bytes() -> None:
    assert pae("ä", "é€".encode()) == b"DSSEv1 2 \xc3\xa4 5 \xc3\xa9\xe2\x82\xac"
    assert pae("", b"") == b"DSSEv1 0  0 "


@given(st.tuples(st.text(max_size=12), st.binary(max_size=12)), st.tuples(st.text(max_size=12), st.binary(max_size=12)))
@example(("a 1 b", b""), ("a", b"1 b"))
@example(("", b" 0 "), (" 0 ", b""))
def test_no_two_envelopes_are_signed_alike(one: tuple[str, bytes], other: tuple[str, bytes]) -> None:
    assert (pae(*one) == pae(*other)) == (one == other)


def test_an_envelope_is_written_as_json() -> None:
    raw = base64.b64encode(ENVELOPE.signatures[0].raw).decode()
    assert json.loads(ENVELOPE.to_json()) == {
        "payloadType": "application/vnd.in-toto+json",
        "payload": base64.b64encode(STATEMENT_JSON).decode(),
        "signatures": [{"keyid": "cache.example.org-1", "sig": raw}],
    }
    assert ENVELOPE.to_json().count(b"\n") == 1


@given(
    st.builds(
        Envelope,
        st.text(max_size=40),
        st.binary(max_size=80),
        st.lists(st.builds(EnvelopeSignature, st.text(max_size=20), st.binary(max_size=70)), max_size=16).map(tuple),
    )
)
def test_what_is_written_is_read_as_the_same(envelope: Envelope) -> None:
    assert Envelope.from_json(envelope.to_json()) == envelope


def test_fields_that_dsse_does_not_define_are_passed_over() -> None:
    """As its parsing rules say, whatever is in them."""
    extension = {"kind": "x", "ext": [None, 1.5, "9" * 400, {"sig": ""}]}
    text = changed(signatures=[{**SIGNATURE, "extension": extension}], more=extension)
    text = text.replace(b'"kind": "x"', b'"kind": ' + b"9" * 5000 + b', "half": "\\ud800"')
    assert Envelope.from_json(text) == ENVELOPE


def test_base64_may_be_in_the_url_safe_alphabet() -> None:
    """DSSE has every reader take both."""
    assert Envelope.from_json(changed(payload="-_-_")).payload == Envelope.from_json(changed(payload="+/+/")).payload


@pytest.mark.parametrize("signature", [{"sig": SIGNATURE["sig"]}, {"sig": SIGNATURE["sig"], "keyid": ""}])
def test_a_keyid_may_be_left_out(signature: dict[str, str]) -> None:
    envelope = Envelope.from_json(changed(signatures=[signature]))
    assert envelope.signatures[0].keyid == ""
    assert envelope.verify((TRUSTED,)) == ("cache.example.org-1",)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"payload": None}, "payload"),
        ({"payload": 1}, "payload"),
        ({"payload": ["e30="]}, "payload"),
        ({"payload": "e30"}, "payload"),
        ({"payload": "e30=="}, "payload"),
        ({"payload": "e30=\n"}, "payload"),
        ({"payload": " e30="}, "payload"),
        ({"payload": "e31="}, "payload"),
        ({"payload": "-_+/"}, "payload"),
        ({"payload": "-/-_"}, "payload"),
        ({"payload": "é30="}, "payload"),
        ({"payload": "\ud800"}, "payload"),
        ({"payloadType": None}, "payloadType"),
        ({"payloadType": {}}, "payloadType"),
        ({"payloadType": "\ud800"}, "payloadType"),
        ({"signatures": None}, "signatures"),
        ({"signatures": {}}, "signatures"),
        ({"signatures": SIGNATURE}, "signatures"),
        ({"signatures": [None]}, "signatures"),
        ({"signatures": ["sig"]}, "signatures"),
        ({"signatures": [[SIGNATURE]]}, "signatures"),
        ({"signatures": [{"keyid": "x"}]}, "signatures.sig"),
        ({"signatures": [{"sig": None}]}, "signatures.sig"),
        ({"signatures": [{"sig": SIGNATURE["sig"].rstrip("=")}]}, "signatures.sig"),
        ({"signatures": [{**SIGNATURE, "keyid": None}]}, "signatures.keyid"),
        ({"signatures": [{**SIGNATURE, "keyid": 7}]}, "signatures.keyid"),
        ({"signatures": [{**SIGNATURE, "keyid": "\udfff"}]}, "signatures.keyid"),
        ({"signatures": [SIGNATURE, {}]}, "signatures.sig"),
    ],
)
def test_a_malformed_field_is_named(fields: dict[str, object], field: str) -> None:
    assert refusal(changed(**fields)).field == field


@pytest.mark.parametrize("field", ["payload", "payloadType", "signatures"])
def test_a_missing_field_is_named(field: str) -> None:
    document: dict[str, Any] = {name: value for name, value in DOCUMENT.items() if name != field}
    assert refusal(json.dumps(document).encode()).field == field


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is no JSON"),
        (b"null", "is no JSON object"),
        (b"[]", "is no JSON object"),
        (b"\xef\xbb\xbf" + ENVELOPE.to_json(), "is no JSON"),
        (ENVELOPE.to_json().decode().encode("utf-16"), "is no UTF-8"),
        (ENVELOPE.to_json() + b"{}", "is no JSON"),
        (b"[" * 200_000, "is nested too deeply"),
        (b'{"a":' * 200_000, "is nested too deeply"),
        (changed(x=0).replace(b": 0}", b": NaN}"), "has NaN"),
        (changed(x=0).replace(b": 0}", b": -Infinity}"), "has -Infinity"),
        (changed(x=0).replace(b'"x": 0}', b'"payload": ""}'), "has 'payload' twice"),
        (changed(signatures=[SIGNATURE, 0]).replace(b"0]", b'{"sig": "", "sig": ""}]'), "has 'sig' twice"),
    ],
)
def test_what_is_no_one_json_object_is_refused(data: bytes, problem: str) -> None:
    assert problem in refusal(data).problem


def test_a_fault_is_found_where_it_is() -> None:
    assert refusal('{"é": x}'.encode()).offset == 7
    assert refusal(b'{"a": "\xff"}').offset == 7


def test_size_is_bounded() -> None:
    text = ENVELOPE.to_json()
    padded = text + b" " * (MAX_ENVELOPE_SIZE - len(text))
    assert Envelope.from_json(padded) == ENVELOPE
    assert refusal(padded + b" ").offset == MAX_ENVELOPE_SIZE


def test_signatures_are_bounded() -> None:
    """I7: each costs a verification for every key."""
    envelope = Envelope.from_json(changed(signatures=[SIGNATURE] * MAX_ENVELOPE_SIGNATURES))
    assert envelope.verify((TRUSTED,)) == ("cache.example.org-1",)
    assert refusal(changed(signatures=[SIGNATURE] * (MAX_ENVELOPE_SIGNATURES + 1))).field == "signatures"


@given(mutations(ENVELOPE.to_json()) | st.binary(max_size=200))
def test_any_bytes_are_an_envelope_or_refused(data: bytes) -> None:
    """The contract of every parser; and no change of one byte lets other words pass for signed ones."""
    envelope = outcome(lambda: Envelope.from_json(data))
    if isinstance(envelope, Envelope):
        assert Envelope.from_json(envelope.to_json()) == envelope
        if not isinstance(outcome(lambda: envelope.verify((TRUSTED,))), Failure):
            assert (envelope.payload_type, envelope.payload) == (ENVELOPE.payload_type, ENVELOPE.payload)


def test_the_names_of_the_keys_that_signed() -> None:
    other, third = SecretKey.generate("other-1"), SecretKey.generate("third-1")
    both = dataclasses.replace(ENVELOPE, signatures=(*other.attest(STATEMENT).signatures, *ENVELOPE.signatures))
    keys = (TRUSTED, third.public_key, other.public_key, TRUSTED)
    assert both.verify(keys) == ("cache.example.org-1", "other-1")
    assert both.verify(iter(keys)) == ("cache.example.org-1", "other-1")
    assert ENVELOPE.verify(keys) == ("cache.example.org-1",)


def test_a_signature_that_holds_is_enough_beside_ones_that_do_not() -> None:
    wrong = EnvelopeSignature("cache.example.org-1", bytes(64))
    envelope = dataclasses.replace(ENVELOPE, signatures=(wrong, *ENVELOPE.signatures))
    assert envelope.verify((TRUSTED,)) == ("cache.example.org-1",)


@pytest.mark.parametrize("keyid", ["", "other-1", "a keyid of another tool", "ä\n"])
def test_a_keyid_is_a_hint_only(keyid: str) -> None:
    """Nobody signs it: DSSE forbids to decide by it."""
    moved = EnvelopeSignature(keyid, ENVELOPE.signatures[0].raw)
    assert dataclasses.replace(ENVELOPE, signatures=(moved,)).verify((TRUSTED,)) == ("cache.example.org-1",)


def test_nobody_is_trusted_by_a_name() -> None:
    """Another key, and another key of the same name."""
    unsigned(ENVELOPE)
    unsigned(ENVELOPE, SecretKey.generate("other-1").public_key)
    unsigned(ENVELOPE, SecretKey.generate("cache.example.org-1").public_key)
    unsigned(SecretKey.generate("cache.example.org-1").attest(STATEMENT), TRUSTED)


def test_an_envelope_without_a_signature_is_read_and_not_verified() -> None:
    unsigned(Envelope.from_json(changed(signatures=[])), TRUSTED)


@pytest.mark.parametrize("raw", [b"", bytes(63), bytes(64), bytes(65), ENVELOPE.signatures[0].raw + b"\0"])
def test_signatures_of_no_key(raw: bytes) -> None:
    unsigned(dataclasses.replace(ENVELOPE, signatures=(EnvelopeSignature(KEY.name, raw),)), TRUSTED)


def test_payload_and_type_are_both_signed() -> None:
    unsigned(dataclasses.replace(ENVELOPE, payload=STATEMENT_JSON.replace(b"builder-1", b"builder-2")), TRUSTED)
    unsigned(dataclasses.replace(ENVELOPE, payload=STATEMENT_JSON + b" "), TRUSTED)
    unsigned(dataclasses.replace(ENVELOPE, payload_type="application/vnd.in-toto.x+json"), TRUSTED)
    unsigned(dataclasses.replace(ENVELOPE, payload_type="application/vnd.in-toto+JSON"), TRUSTED)
