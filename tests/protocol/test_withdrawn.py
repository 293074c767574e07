"""The list of what is withdrawn: read strictly, for whoever misreads it publishes what is bad."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nixcache.errors import PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.store_path import HashPart
from protocol.withdrawn import MAX_SIZE, Entry, Withdrawn

ONE, TWO = HashPart("a" * 32), HashPart("b" * 32)
BAD, WORSE, RIGHT = (Hash(HashAlgorithm.SHA256, bytes([number] * 32)) for number in range(3))
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
LIST = Withdrawn((Entry(ONE, BAD, AT), Entry(ONE, WORSE, AT), Entry(TWO, None, AT)))


def _document() -> dict[str, Any]:
    return dict(json.loads(LIST.to_json()))


def test_what_is_written_is_what_is_read() -> None:
    assert Withdrawn.from_json(LIST.to_json()) == LIST
    assert Withdrawn.from_json(Withdrawn().to_json()) == Withdrawn()


def test_an_object_is_refused_and_not_its_path() -> None:
    assert LIST.refuses(ONE, BAD)
    assert LIST.refuses(ONE, WORSE)
    assert not LIST.refuses(ONE, RIGHT)
    assert not LIST.refuses(TWO, BAD)
    assert (LIST.names(ONE), LIST.names(TWO), LIST.names(HashPart("c" * 32))) == (True, True, False)
    assert LIST.refused(ONE) == {BAD, WORSE}
    assert not LIST.refused(TWO)


def test_to_add_an_entry_twice_changes_nothing() -> None:
    """Its moment is that of the first: so a command that is run again writes nothing."""
    assert LIST.adding([Entry(ONE, BAD, AT + timedelta(days=9))]).refused(ONE) == {BAD, WORSE}
    assert Withdrawn((Entry(ONE, BAD, AT),)).adding([Entry(ONE, BAD, AT + timedelta(1))]).entries[0].at == AT


def test_a_trace_is_renewed_and_forgotten_after_a_day() -> None:
    later = AT + timedelta(hours=2)
    assert Entry(TWO, None, later) in LIST.adding([Entry(TWO, None, later)]).entries
    assert not LIST.adding([Entry(ONE, BAD, AT + timedelta(days=1))]).names(TWO)


def test_one_object_is_readmitted_or_a_whole_path() -> None:
    assert LIST.readmitting(ONE, BAD).refused(ONE) == {WORSE}
    assert not LIST.readmitting(TWO, BAD).names(TWO), "a trace of what is there again says nothing"
    assert not LIST.without([ONE]).names(ONE)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"schema": "1"},
        {"schema": None},
        {"withdrawn": None},
        {"traces": {}},
        {"more": []},
        {"withdrawn": [None]},
        {"withdrawn": [{"hashPart": ONE, "at": AT.isoformat()}]},
        {"withdrawn": [{"hashPart": ONE, "narHash": None, "at": AT.isoformat()}]},
        {"withdrawn": [{"hashPart": "e" * 32, "narHash": str(BAD), "at": AT.isoformat()}]},
        {"withdrawn": [{"hashPart": ONE, "narHash": "sha256:", "at": AT.isoformat()}]},
        {"withdrawn": [{"hashPart": ONE, "narHash": str(BAD), "at": "yesterday"}]},
        {"withdrawn": [{"hashPart": ONE, "narHash": str(BAD), "at": "0001-01-01T00:00:00+23:00"}]},
        {"withdrawn": [{"hashPart": ONE, "narHash": str(BAD), "at": AT.isoformat(), "note": ""}]},
        {"traces": [{"hashPart": ONE, "narHash": str(BAD), "at": AT.isoformat()}]},
        {"traces": [{"hashPart": ONE, "at": AT.isoformat()}] * 2},
    ],
    ids=str,
)
def test_a_list_that_is_not_quite_one_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(PermanentError):
        Withdrawn.from_json(json.dumps(_document() | change).encode())


@pytest.mark.parametrize("name", ["schema", "withdrawn", "traces"])
def test_a_list_that_lost_something_is_no_empty_one(name: str) -> None:
    document = _document()
    del document[name]
    with pytest.raises(PermanentError):
        Withdrawn.from_json(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"\xff", b"[" * 100_000, b" " * (MAX_SIZE + 1)], ids=len)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(PermanentError):
        Withdrawn.from_json(data)


def test_a_list_that_nobody_would_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.withdrawn.MAX_SIZE", 100)
    with pytest.raises(PermanentError, match="readmit"):
        LIST.to_json()
