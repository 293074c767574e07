"""What is on disk is read strictly: any bytes are an entry, or one kind of error."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hook import post_build
from hook.errors import BuilderCode, Cause
from hook.queue import spool
from hook.queue.entry import Entry, Progress, Queued, Refused, Submitted
from nixcache.errors import PermanentError
from nixcache.store_path import NIX_STORE, StorePath
from protocol.verdicts import AwaitingQuorum

PATH = StorePath.from_base_name(f"{'0' * 32}-x")
OTHER = StorePath.from_base_name(f"{'1' * 32}-y")
_LINE = b"path /nix/store/00000000000000000000000000000000-x\n"
_DRV = b"drv /nix/store/00000000000000000000000000000000-x.drv\n"
_PROGRESS: list[Progress] = [
    Queued(),
    Queued(tries=3, next_attempt_at=12.5, problem="no network", cause=Cause.NETWORK, uploads=1),
    Submitted(version_id="v1", staged_at=datetime(2026, 1, 2, tzinfo=UTC), since=1.0, uploads=1, waits_for=(OTHER,)),
    Submitted(
        version_id="v2",
        staged_at=datetime(2026, 1, 2, tzinfo=UTC),
        since=1.0,
        uploads=1,
        quorum=AwaitingQuorum(1, 2),
    ),
    Refused(code="ca-mismatch", problem="why", since=2.0),
]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"assay-spool 1\n",
        b"assay-spool 1\nend\n",
        b"assay-spool 1\n" + _LINE,
        b"assay-spool 1\n" + _LINE + b"end",
        b"assay-spool 1\n" + _LINE + b"end\n\n",
        b"assay-spool 2\n" + _LINE + b"end\n",
        b"assay-spool 1\n" + _DRV + _DRV + b"end\n",
        b"assay-spool 1\nroot /nix/store/00000000000000000000000000000000-x\nend\n",
        b"assay-spool 1\npath /gnu/store/00000000000000000000000000000000-x\nend\n",
        b"assay-spool 1\npath /nix/store/00000000000000000000000000000000-x /etc\nend\n",
        b"assay-spool 1\npath /nix/store/\xff0000000000000000000000000000000-x\nend\n",
    ],
)
def test_what_is_no_whole_spool_entry_is_refused(data: bytes) -> None:
    with pytest.raises(PermanentError) as caught:
        spool.parse(data, NIX_STORE)
    assert caught.value.code is BuilderCode.QUEUE_ENTRY_MALFORMED
    assert caught.value.remedy


@given(st.binary())
def test_any_bytes_are_a_spool_entry_or_the_one_error(data: bytes) -> None:
    try:
        spool.parse(b"assay-spool 1\n" + data + b"end\n", NIX_STORE)
    except PermanentError as error:
        assert error.code is BuilderCode.QUEUE_ENTRY_MALFORMED  # noqa: PT017 - either outcome is right


def test_what_the_hook_writes_is_what_the_uploader_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIX_STATE_DIR", str(tmp_path / "nix"))
    paths = [NIX_STORE.render(PATH), NIX_STORE.render(OTHER)]
    post_build.enqueue(str(tmp_path), paths, drv_path=f"{paths[0]}.drv")
    (file,) = (tmp_path / post_build.SPOOL_NEW).iterdir()
    entry = spool.parse(file.read_bytes(), NIX_STORE)
    assert entry.paths == (PATH, OTHER)
    assert entry.drv_path
    assert entry.drv_path.base_name == f"{PATH.base_name}.drv"


@pytest.mark.parametrize("progress", _PROGRESS, ids=lambda progress: progress.state)
def test_an_entry_reads_back_as_it_was_written(progress: Progress) -> None:
    entry = Entry(PATH, 1.5, progress)
    assert Entry.parse(json.loads(json.dumps(entry.document(NIX_STORE))), NIX_STORE) == entry


@pytest.mark.parametrize("progress", _PROGRESS, ids=lambda progress: progress.state)
def test_an_entry_that_lacks_a_field_or_has_a_wrong_one_is_refused(progress: Progress) -> None:
    whole = Entry(PATH, 1.5, progress).document(NIX_STORE)
    for key in whole:
        for document in ({k: v for k, v in whole.items() if k != key}, {**whole, key: {"no": "such thing"}}):
            if key in {"problem", "versionId", "code"} and key in document:
                continue  # any text will do
            with pytest.raises(PermanentError) as caught:
                Entry.parse(json.loads(json.dumps(document)), NIX_STORE)
            assert caught.value.code is BuilderCode.QUEUE_ENTRY_MALFORMED


@pytest.mark.parametrize("field", ["tries", "uploads", "nextAttemptAt", "queuedAt"])
@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1" + 400 * "0"])
def test_a_number_that_is_none_is_refused_or_read(field: str, number: str) -> None:
    """Python reads them all, and not every one of them fits into every type."""
    document = json.dumps(Entry(PATH, 1.5, Queued()).document(NIX_STORE) | {field: "?"}).replace('"?"', number)
    try:
        Entry.parse(json.loads(document), NIX_STORE)
    except PermanentError as error:
        assert error.code is BuilderCode.QUEUE_ENTRY_MALFORMED  # noqa: PT017 - either outcome is right


def test_a_time_without_a_zone_is_refused() -> None:
    document = {**Entry(PATH, 1.5, _PROGRESS[2]).document(NIX_STORE), "stagedAt": "2026-01-02T00:00:00"}
    with pytest.raises(PermanentError, match="time zone"):
        Entry.parse(json.loads(json.dumps(document)), NIX_STORE)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_any_document_is_an_entry_or_the_one_error(document: object) -> None:
    with pytest.raises(PermanentError):
        Entry.parse(document, NIX_STORE)


@given(st.sampled_from(_PROGRESS), st.data())
def test_an_entry_with_any_value_in_any_field_is_read_or_the_one_error(progress: Progress, data: st.DataObject) -> None:
    document: dict[str, Any] = Entry(PATH, 1.5, progress).document(NIX_STORE)
    document[data.draw(st.sampled_from(sorted(document)))] = data.draw(_JSON)
    try:
        Entry.parse(json.loads(json.dumps(document)), NIX_STORE)
    except PermanentError as error:
        assert error.code is BuilderCode.QUEUE_ENTRY_MALFORMED  # noqa: PT017 - either outcome is right
