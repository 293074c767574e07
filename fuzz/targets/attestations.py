"""Envelopes and statements: what is read says what any reader of JSON sees there, and has one text."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from fuzz.contract import Refusal, outcome, require, require_same
from fuzz.mutators.documents import mutate_document
from fuzz.target import Target
from nixcache.dsse import Envelope
from nixcache.statement import Statement

if TYPE_CHECKING:
    from typing import Any

_MANY_DIGITS = 100


def check(data: bytes) -> None:
    """Hold both parsers to their contract for ``data``, and for what an envelope in it holds."""
    _check_statement(data)
    envelope = outcome(lambda: Envelope.from_json(data))
    if isinstance(envelope, Refusal):
        return
    require_same(Envelope.from_json(envelope.to_json()), envelope, "What was written is read as the same")
    seen = _naively(data)
    require_same(envelope.payload_type, seen["payloadType"], "The type is the one that is there")
    require(seen["payload"] in _spellings(envelope.payload), "The payload is the one that is there")
    for signature, one in zip(envelope.signatures, seen["signatures"], strict=True):
        require_same(signature.keyid, one.get("keyid", ""), "The hint is the one that is there")
        require(one["sig"] in _spellings(signature.raw), "The signature is the one that is there")
    _check_statement(envelope.payload)


def _check_statement(data: bytes) -> None:
    statement = outcome(lambda: Statement.from_json(data))
    if isinstance(statement, Refusal):
        return
    written = statement.to_json()
    again = Statement.from_json(written)
    require_same(again, statement, "What was written is read as the same")
    require_same(again.to_json(), written, "Writing is a fixed point")
    seen = _naively(data)
    (subject,) = seen["subject"]
    require_same(
        statement.store_dir.render(statement.store_path), subject["name"], "It is about the path that is there"
    )
    require_same(statement.nar_hash.hex, subject["digest"]["sha256"], "Its digest is the one that is there")
    require_same(json.loads(written)["predicate"], seen.get("predicate", {}), "The predicate is the one that is there")
    require_same(statement.predicate_type, seen["predicateType"], "Its type is the one that is there")


def _spellings(data: bytes) -> frozenset[str]:
    """Return the base64 of ``data`` in DSSE's two alphabets; whatever else some decoder takes for it is not meant."""
    return frozenset({base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()})


def _naively(data: bytes) -> dict[str, Any]:
    """Read JSON as any reader does, and see that no other would read something else."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        require(len({name for name, _ in pairs}) == len(pairs), "No name is given twice")
        return dict(pairs)

    document: dict[str, Any] = json.loads(data.decode(), object_pairs_hook=members, parse_int=_integer)
    return document


def _integer(text: str) -> int | float:
    """One with more digits than Python takes at once may stand in a field that nobody reads."""
    return int(text) if len(text) < _MANY_DIGITS else float(text)


TARGET = Target(name="attestations", check=check, mutate=mutate_document)
