"""Result documents: what the service writes, the builder reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.errors import PermanentError
from nixcache.hashes import Hash
from nixcache.store_path import StorePath
from protocol.keys import StagingNarInfoKey
from protocol.results import Result, ResultCode
from protocol.verdicts import (
    Against,
    AwaitingQuorum,
    Conflict,
    Duplicate,
    PublicationWarning,
    Published,
    Rejected,
    Verdict,
    Waiting,
)

PATH = StorePath.from_base_name("0i1dya4y5gbx52zfdr9xdy6xy1pz5s5b-zlib-1.2.12")
SUBMISSION = StagingNarInfoKey.parse(f"ci-1/{PATH.hash_part}.narinfo")
ONE, TWO = Hash.parse("sha256:" + "0" * 52), Hash.parse("sha256:" + "0" * 51 + "1")
WARNING = PublicationWarning("reference-undeclared", "Mentioned: 2.", (PATH, PATH))
VERDICTS: list[Verdict] = [
    Published(("key-1", "key-2")),
    Published(()),
    Published(("key-1",), (WARNING, PublicationWarning("new-code", "", ()))),
    Duplicate(),
    Duplicate("https://cache.example.org"),
    Waiting((PATH,)),
    AwaitingQuorum(1, 2),
    *(Conflict(ONE, TWO, against) for against in Against),
    Rejected("nar-malformed", 'Wrong: "\u2028é\n".', "", "NAR", 0),
    Rejected("nar-missing", "No.", "Ask.", None, None),
]


def result(verdict: Verdict, **changes: Any) -> Result:  # noqa: ANN401  # any field of Result, as its own type has it
    fields: dict[str, Any] = {
        "submission": SUBMISSION,
        "version_id": "v.1_x",
        "store_path": PATH,
        "verdict": verdict,
        "at": datetime(2026, 11, 22, 12, 30, 15, 123000, tzinfo=UTC),
    }
    return Result(**{**fields, **changes})


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: str(verdict.kind))
@pytest.mark.parametrize("store_path", [PATH, None], ids=["known", "unknown"])
@pytest.mark.parametrize("disputed_by", [(), (ONE,), (TWO, ONE)], ids=["undisputed", "disputed", "disputed twice"])
def test_every_verdict_reads_back(
    verdict: Verdict, store_path: StorePath | None, disputed_by: tuple[Hash, ...]
) -> None:
    written = result(verdict, store_path=store_path, disputed_by=disputed_by)
    assert Result.from_json(written.to_json()) == written


def test_the_document() -> None:
    """Other programs read it: its names are part of the protocol."""
    document = result(Rejected("nar-malformed", "Wrong.", "Mend it.", "NAR", 7), disputed_by=(TWO, ONE)).to_json()
    assert document.endswith(b"}\n")
    assert json.loads(document) == {
        "schema": 1,
        "builder": "ci-1",
        "hashPart": PATH.hash_part,
        "versionId": "v.1_x",
        "storePath": PATH.base_name,
        "at": "2026-11-22T12:30:15.123+00:00",
        "verdict": "rejected",
        "code": "nar-malformed",
        "problem": "Wrong.",
        "remedy": "Mend it.",
        "field": "NAR",
        "offset": 7,
        "disputedBy": [str(TWO), str(ONE)],
    }


@pytest.mark.parametrize(
    ("verdict", "details"),
    [
        (Published(("key-1",)), {"signedBy": ["key-1"], "warnings": []}),
        (
            Published(("key-1",), (WARNING,)),
            {
                "signedBy": ["key-1"],
                "warnings": [
                    {
                        "code": "reference-undeclared",
                        "problem": "Mentioned: 2.",
                        "paths": [PATH.base_name, PATH.base_name],
                    }
                ],
            },
        ),
        (Duplicate(), {"upstream": None}),
        (Duplicate("https://cache.example.org"), {"upstream": "https://cache.example.org"}),
        (Waiting((PATH,)), {"missing": [PATH.base_name]}),
        (AwaitingQuorum(1, 2), {"have": 1, "need": 2}),
        *(
            (
                Conflict(ONE, TWO, against),
                {"otherNarHash": str(ONE), "submittedNarHash": str(TWO), "against": against.value},
            )
            for against in Against
        ),
    ],
    ids=lambda value: str(value.kind) if hasattr(value, "kind") else "",
)
def test_the_details_of_each(verdict: Verdict, details: dict[str, object]) -> None:
    document = json.loads(result(verdict).to_json())
    common = {"schema", "builder", "hashPart", "versionId", "storePath", "at", "verdict", "disputedBy"}
    assert {name: value for name, value in document.items() if name not in common} == details
    assert document["verdict"] == verdict.kind


def test_times_are_in_utc() -> None:
    there = datetime(2026, 11, 22, 14, 30, tzinfo=timezone(timedelta(hours=2)))
    read = Result.from_json(result(Duplicate(), at=there).to_json()).at
    assert (read, read.tzinfo) == (there, UTC)


def test_new_fields_are_passed_over() -> None:
    """An older uploader reads what a newer service writes."""
    document = json.loads(result(Duplicate()).to_json())
    document["new"] = {"more": 1}
    assert Result.from_json(json.dumps(document).encode()) == result(Duplicate())


@pytest.mark.parametrize("field", ["code", "problem", "paths"])
@pytest.mark.parametrize("wrong", [None, 5, {}, [5], ["x"], "\ud800"], ids=ascii)
def test_a_malformed_warning_is_refused(field: str, wrong: object) -> None:
    document = json.loads(result(Published((), (WARNING,))).to_json())
    document["warnings"][0][field] = wrong
    with pytest.raises(PermanentError):
        Result.from_json(json.dumps(document).encode())
    del document["warnings"][0][field]
    with pytest.raises(PermanentError):
        Result.from_json(json.dumps(document).encode())


@pytest.mark.parametrize("schema", [0, 2, "1", None, [1]])
def test_another_schema_is_named(schema: object) -> None:
    document = json.loads(result(Duplicate()).to_json())
    with pytest.raises(PermanentError, match="this program reads 1") as caught:
        Result.from_json(json.dumps({**document, "schema": schema}).encode())
    assert (caught.value.code, caught.value.field) == (ResultCode.RESULT_MALFORMED, "schema")


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: str(verdict.kind))
def test_no_field_can_be_missing(verdict: Verdict) -> None:
    document = json.loads(result(verdict).to_json())
    for name in document:
        with pytest.raises(PermanentError):
            Result.from_json(json.dumps({key: value for key, value in document.items() if key != name}).encode())


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: str(verdict.kind))
@pytest.mark.parametrize("wrong", [5, 1.5, True, {}, {"a": 1}, [1], [[]]], ids=repr)
def test_no_field_can_have_another_type(verdict: Verdict, wrong: object) -> None:
    document = json.loads(result(verdict).to_json())
    for name in document:
        # These may be 5; and to Python, true is 1.
        if (name, wrong) in [("offset", 5), ("have", 5), ("need", 5), ("schema", True)]:
            continue
        with pytest.raises(PermanentError):
            Result.from_json(json.dumps({**document, name: wrong}).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("builder", "CI"),
        ("builder", "../x"),
        ("hashPart", "x"),
        ("storePath", ""),
        ("storePath", f"/nix/store/{PATH.base_name}"),
        ("verdict", "Published"),
        ("verdict", "awaiting"),
        ("at", ""),
        ("at", "yesterday"),
        ("at", "2026-11-22T12:30:15"),
        ("at", "2026-11-22T12:30:15+02:00"),
        ("at", "0001-01-01T00:00:00+23:00"),
        ("missing", [PATH.hash_part]),
        ("missing", PATH.base_name),
        ("disputedBy", str(ONE)),
        ("disputedBy", [str(ONE), "sha256:x"]),
        ("disputedBy", [None]),
    ],
)
def test_a_wrong_value_is_refused(name: str, value: object) -> None:
    document = json.loads(result(Waiting((PATH,))).to_json())
    with pytest.raises(PermanentError):
        Result.from_json(json.dumps({**document, name: value}).encode())


@pytest.mark.parametrize("against", ["", "Published", "builder", 1, []], ids=repr)
def test_a_conflict_is_against_something_that_there_is(against: object) -> None:
    document = json.loads(result(Conflict(ONE, TWO)).to_json())
    with pytest.raises(PermanentError):
        Result.from_json(json.dumps({**document, "against": against}).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"5",
        b'"x"',
        b"\xff",
        b"\xff\xfe{",
        b"[" * 100_000,
        b'{"schema":' * 100_000,
        b"1" * 5000,
    ],
    ids=lambda data: repr(data[:10]),
)
def test_what_is_no_document(data: bytes) -> None:
    with pytest.raises(PermanentError) as caught:
        Result.from_json(data)
    assert caught.value.code is ResultCode.RESULT_MALFORMED
    assert len(str(caught.value).splitlines()) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(VERDICTS), st.data())
def test_any_document_is_a_result_or_refused(verdict: Verdict, data: st.DataObject) -> None:
    """The fuzz contract; and what is accepted can be written again."""
    document = json.loads(result(verdict).to_json())
    document.update(data.draw(st.dictionaries(st.sampled_from(sorted(document)), JSON, max_size=2)))
    text = json.dumps(document).encode()
    start = data.draw(st.integers(0, len(text)))
    text = data.draw(st.sampled_from([text, text[:start], text[:start] + b"\xff" + text[start:]]) | st.binary())
    try:
        read = Result.from_json(text)
    except PermanentError:
        return
    assert Result.from_json(read.to_json()) == read
