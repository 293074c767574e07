"""Statements: one value, one text, about one store object."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.dsse import Envelope
from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.narinfo import MAX_NARINFO_SIZE, MAX_REFERENCES, NarInfo
from nixcache.signature import PublicKey
from nixcache.signing import SecretKey
from nixcache.statement import MAX_PREDICATE_DEPTH, MAX_STATEMENT_SIZE, PREDICATE_TYPE, Statement
from nixcache.store_path import NIX_STORE, StoreDir, StorePath
from nixcache.strict_json import Json
from tests.nixcache.golden import HELLO_NAR, HELLO_NARINFO, PUBLIC_KEY, ZLIB
from tests.nixcache.outcomes import Failure, outcome
from tests.nixcache.provenances import ENVELOPE, KEY, STATEMENT, STATEMENT_JSON
from tests.nixcache.strategies import mutations, narinfos, statements

DOCUMENT = json.loads(STATEMENT_JSON)
TRUSTED = (PublicKey.parse(PUBLIC_KEY),)


def changed(**fields: object) -> bytes:
    return json.dumps({**DOCUMENT, **fields}).encode()


def subject(**fields: object) -> list[dict[str, Any]]:
    return [{**DOCUMENT["subject"][0], **fields}]


def with_predicate(predicate: dict[str, Json]) -> Statement:
    return dataclasses.replace(STATEMENT, predicate=predicate)


def nested(levels: int) -> dict[str, Json]:
    predicate: dict[str, Json] = {}
    for _ in range(levels - 1):
        predicate = {"x": predicate}
    return predicate


def refusal(data: bytes) -> Failure:
    refused = outcome(lambda: Statement.from_json(data))
    assert isinstance(refused, Failure)
    assert refused.code == Code.ATTESTATION_MALFORMED
    return refused


def refuses(predicate: dict[str, Any]) -> str:
    with pytest.raises(PermanentError) as caught:
        with_predicate(predicate)
    assert (caught.value.code, caught.value.field) == (Code.ATTESTATION_MALFORMED, "predicate")
    return str(caught.value)


def test_a_statement_is_written_as_in_toto_says() -> None:
    assert STATEMENT.to_json() == STATEMENT_JSON
    assert hashlib.sha256(HELLO_NAR).hexdigest().encode() in STATEMENT_JSON


def test_the_order_of_names_does_not_show() -> None:
    turned: dict[str, Json] = dict(reversed(list(STATEMENT.predicate.items())))
    assert list(turned) != list(STATEMENT.predicate)
    assert with_predicate(turned).to_json() == STATEMENT_JSON


@given(statements())
def test_what_is_written_is_read_as_the_same(statement: Statement) -> None:
    again = Statement.from_json(statement.to_json())
    assert again == statement
    assert again.to_json() == statement.to_json()
    assert statement.to_json().isascii()


def test_fields_that_in_toto_does_not_define_are_passed_over() -> None:
    """As its parsing rules say; other digests of the subject, too."""
    digest = {**DOCUMENT["subject"][0]["digest"], "md5": "00", "gitBlob": None}
    more = {"uri": "x", "annotations": {"a": [1.5]}}
    assert Statement.from_json(changed(subject=subject(digest=digest, **more), more=more)) == STATEMENT


def test_an_absent_predicate_is_an_empty_one() -> None:
    text = json.dumps({name: value for name, value in DOCUMENT.items() if name != "predicate"}).encode()
    assert Statement.from_json(text) == with_predicate({})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"_type": None}, "_type"),
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "_type"),
        ({"_type": ["https://in-toto.io/Statement/v1"]}, "_type"),
        ({"predicateType": None}, "predicateType"),
        ({"predicateType": ""}, "predicateType"),
        ({"predicateType": "publication"}, "predicateType"),
        ({"predicateType": "urn:a b"}, "predicateType"),
        ({"predicateType": "urn:a\n"}, "predicateType"),
        ({"predicateType": "urn:" + "a" * 2001}, "predicateType"),
        ({"predicate": None}, "predicate"),
        ({"predicate": []}, "predicate"),
        ({"predicate": "{}"}, "predicate"),
        ({"predicate": {"x": 0.5}}, "predicate"),
        ({"predicate": {"x": 1e400}}, "predicate"),
        ({"predicate": {"x": 2**63}}, "predicate"),
        ({"predicate": {"x": -(2**63) - 1}}, "predicate"),
        ({"predicate": {"x": 10**4000}}, "predicate"),
        ({"predicate": {"x": ["\ud800"]}}, "predicate"),
        ({"predicate": {"\udfff": 0}}, "predicate"),
        ({"predicate": nested(MAX_PREDICATE_DEPTH + 1)}, "predicate"),
        ({"predicate": nested(MAX_PREDICATE_DEPTH - 1) | {"y": nested(MAX_PREDICATE_DEPTH)}}, "predicate"),
        ({"subject": None}, "subject"),
        ({"subject": {}}, "subject"),
        ({"subject": []}, "subject"),
        ({"subject": subject() * 2}, "subject"),
        ({"subject": ["x"]}, "subject"),
        ({"subject": subject(name=None)}, "subject"),
        ({"subject": subject(name="")}, "subject"),
        ({"subject": subject(name="/")}, "subject"),
        ({"subject": subject(name=ZLIB)}, "subject"),
        ({"subject": subject(name=f"/{ZLIB}")}, "subject"),
        ({"subject": subject(name=f"/nix/../store/{ZLIB}")}, "subject"),
        ({"subject": subject(name=f"/nix/store//{ZLIB}")}, "subject"),
        ({"subject": subject(name=f"/nix/store/{ZLIB}/bin")}, "subject"),
        ({"subject": subject(name=f"/nix/store/{ZLIB}\n")}, "subject"),
        ({"subject": subject(name="/nix/store/\ud800")}, "subject"),
        ({"subject": subject(digest=None)}, "subject"),
        ({"subject": subject(digest={})}, "subject"),
        ({"subject": subject(digest={"sha256": None})}, "subject"),
        ({"subject": subject(digest={"sha256": "0" * 63})}, "subject"),
        ({"subject": subject(digest={"sha256": "0" * 65})}, "subject"),
        ({"subject": subject(digest={"sha256": "A" * 64})}, "subject"),
        ({"subject": subject(digest={"sha256": "0" * 64 + "\n"})}, "subject"),
        ({"subject": subject(digest={"sha256": "٣" * 64})}, "subject"),
        ({"subject": subject(digest={"sha512": "0" * 128})}, "subject"),
    ],
    ids=str,
)
def test_a_malformed_field_is_named(fields: dict[str, object], field: str) -> None:
    # Python writes an integer of 4,000 digits, too, and infinity as a word that is no JSON.
    text = changed(**fields).replace(b"Infinity", b"1e400")
    assert refusal(text).field == field


@pytest.mark.parametrize("field", ["_type", "subject", "predicateType"])
def test_a_missing_field_is_named(field: str) -> None:
    assert (
        refusal(json.dumps({name: value for name, value in DOCUMENT.items() if name != field}).encode()).field == field
    )


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is no JSON"),
        (b"[]", "is no JSON object"),
        (b'{"x":' * 200_000, "is nested too deeply"),
        (STATEMENT_JSON.replace(b"976", b"NaN"), "has NaN"),
        (STATEMENT_JSON.replace(b'"narSize"', b'"builder"'), "has 'builder' twice"),
        (STATEMENT_JSON[:-1] + b',"subject":[]}', "has 'subject' twice"),
    ],
)
def test_what_is_no_one_json_object_is_refused(data: bytes, problem: str) -> None:
    assert problem in refusal(data).problem


@given(mutations(STATEMENT_JSON) | st.binary(max_size=200))
def test_any_bytes_are_a_statement_or_refused(data: bytes) -> None:
    """The contract of every parser."""
    statement = outcome(lambda: Statement.from_json(data))
    if isinstance(statement, Statement):
        assert Statement.from_json(statement.to_json()) == statement


@pytest.mark.parametrize(
    "predicate",
    [{"x": 1.0}, {"x": b"bytes"}, {"x": {1}}, {1: "x"}, {"x": {None: 1}}, {"x": [1j]}, {"x": 2**63}],
    ids=str,
)
def test_a_predicate_is_json(predicate: dict[str, Any]) -> None:
    assert refuses(predicate).count("\n") == 0


def test_the_limits_themselves_are_allowed() -> None:
    integers: dict[str, Json] = {"x": 2**63 - 1, "y": -(2**63)}
    for predicate in (nested(MAX_PREDICATE_DEPTH), integers):
        statement = with_predicate(predicate)
        assert Statement.from_json(statement.to_json()) == statement


def test_an_enumeration_is_its_word() -> None:
    class Word(StrEnum):
        YES = "yes"

    statement = with_predicate({Word.YES: Word.YES})
    assert [(type(name), type(value)) for name, value in statement.predicate.items()] == [(str, str)]
    assert statement == with_predicate({"yes": "yes"})


def test_a_predicate_cannot_be_changed() -> None:
    """What is signed is what was made."""
    references: list[Json] = ["a"]
    predicate: dict[str, Json] = {"references": references, "policy": {"x": "warn"}}
    statement = with_predicate(predicate)
    before = statement.to_json()
    references.append("b")
    predicate["more"] = True
    assert statement.to_json() == before
    with pytest.raises(TypeError):
        statement.predicate["more"] = True  # type: ignore[index]
    with pytest.raises(TypeError):
        statement.predicate["policy"]["x"] = ""  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        statement.predicate = {}  # type: ignore[misc]


def test_only_a_sha256_is_a_digest() -> None:
    with pytest.raises(PermanentError, match="no SHA-256"):
        dataclasses.replace(STATEMENT, nar_hash=Hash(HashAlgorithm.SHA512, bytes(64)))


def test_size_is_bounded() -> None:
    """I7: and nothing is signed that nobody reads."""
    room = MAX_STATEMENT_SIZE - len(with_predicate({"x": ""}).to_json())
    largest = with_predicate({"x": "a" * room})
    text = largest.to_json()
    assert len(text) == MAX_STATEMENT_SIZE
    assert Statement.from_json(text) == largest
    assert "allowed" in refusal(text + b" ").problem
    with pytest.raises(PermanentError, match="are allowed") as caught:
        KEY.attest(with_predicate({"x": "a" * (room + 1)}))
    assert caught.value.code is Code.ATTESTATION_MALFORMED
    envelope = KEY.attest(largest)
    assert Statement.from_envelope(Envelope.from_json(envelope.to_json()), TRUSTED) == largest


def test_a_statement_has_room_for_the_references_of_any_narinfo() -> None:
    """Provenance comes after the publication: it must never be what fails."""
    count = min(MAX_REFERENCES, MAX_NARINFO_SIZE // (32 + 1 + 211 + 1))
    longest = [f"{number:032}-{'n' * 211}" for number in range(count)]
    assert with_predicate({"references": longest}).to_json()
    shortest = [f"{number:032}-n" for number in range(MAX_REFERENCES)]
    assert with_predicate({"references": shortest}).to_json()


def test_it_is_about_the_narinfo_of_its_store_object() -> None:
    narinfo = NarInfo.parse(HELLO_NARINFO, NIX_STORE)
    assert STATEMENT.is_about(narinfo)
    assert STATEMENT.is_about(dataclasses.replace(narinfo, url="nar/x.nar.xz", signatures=(), deriver=None))


@pytest.mark.parametrize(
    "changes",
    [
        {"store_dir": StoreDir("/s")},
        {"store_path": StorePath.from_base_name(ZLIB)},
        {"nar_hash": Hash(HashAlgorithm.SHA256, bytes(32))},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_it_is_about_no_other(changes: dict[str, Any]) -> None:
    narinfo = NarInfo.parse(HELLO_NARINFO, NIX_STORE)
    assert not STATEMENT.is_about(dataclasses.replace(narinfo, **changes))


@given(narinfos())
def test_it_is_about_what_it_was_made_of(narinfo: NarInfo) -> None:
    made = Statement(
        store_dir=narinfo.store_dir,
        store_path=narinfo.store_path,
        nar_hash=narinfo.nar_hash,
        predicate_type=PREDICATE_TYPE,
        predicate={},
    )
    assert made.is_about(narinfo)
    assert Statement.from_json(made.to_json()).is_about(narinfo)


def test_a_trusted_keys_envelope_gives_its_statement() -> None:
    assert Statement.from_envelope(ENVELOPE, TRUSTED) == STATEMENT


def test_nothing_is_read_of_an_envelope_that_nobody_signed() -> None:
    for payload in (STATEMENT_JSON.replace(b"builder-1", b"builder-2"), b"no statement"):
        with pytest.raises(PermanentError) as caught:
            Statement.from_envelope(dataclasses.replace(ENVELOPE, payload=payload), TRUSTED)
        assert caught.value.code is Code.ATTESTATION_UNSIGNED
    with pytest.raises(PermanentError) as caught:
        Statement.from_envelope(ENVELOPE, (SecretKey.generate(KEY.name).public_key,))
    assert caught.value.code is Code.ATTESTATION_UNSIGNED
