"""The reference of provenance shows what is read and verified, and commands that work as they stand."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nixcache.dsse import MAX_ENVELOPE_SIGNATURES, MAX_ENVELOPE_SIZE, Envelope
from nixcache.errors import Code
from nixcache.narinfo import NarInfo
from nixcache.statement import MAX_STATEMENT_SIZE, PAYLOAD_TYPE, PREDICATE_TYPE, Statement
from nixcache.store_path import NIX_STORE
from tests.nixcache.command_line import Call
from tests.nixcache.golden import HELLO_NARINFO
from tests.nixcache.provenances import KEY, STATEMENT_JSON

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "provenance.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert isinstance(found, str)
    return found


def first_column(heading: str) -> list[str]:
    section = TEXT.partition(f"## {heading}\n")[2].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)


@pytest.fixture
def statement() -> Statement:
    return Statement.from_json(block("json").encode())


@pytest.fixture
def files(tmp_path: Path, statement: Statement, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "provenance.json").write_bytes(KEY.attest(statement).to_json())
    (tmp_path / "hello.narinfo").write_bytes(HELLO_NARINFO)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_statement_is_about_a_store_object(statement: Statement) -> None:
    assert statement.is_about(NarInfo.parse(HELLO_NARINFO, NIX_STORE))
    assert statement.predicate_type == PREDICATE_TYPE


def test_every_field_of_the_predicate_is_listed(statement: Statement) -> None:
    assert first_column("The predicate") == list(statement.predicate)


def test_every_field_of_the_envelope_is_listed() -> None:
    envelope = json.loads(KEY.attest(Statement.from_json(STATEMENT_JSON)).to_json())
    listed = first_column("The envelope")
    assert listed == [*envelope, *(f"signatures[].{name}" for name in envelope["signatures"][0])]
    assert f"`{PAYLOAD_TYPE}`" in TEXT


def test_the_limits_are_told() -> None:
    assert f"at most {MAX_ENVELOPE_SIZE // 1024**2} MiB, with at most {MAX_ENVELOPE_SIGNATURES} signatures" in TEXT
    assert f"it has {MAX_STATEMENT_SIZE // 1024**2} MiB at most" in TEXT


def test_every_code_is_listed() -> None:
    codes = [code.value for code in Code if code.value.startswith("attestation-")]
    assert first_column("Verify it offline") == [*codes, Code.NARINFO_MALFORMED.value]


@pytest.mark.usefixtures("files")
def test_the_command_works_as_it_stands(call: Call, statement: Statement) -> None:
    words = shlex.split(block("console").replace("\\\n", " "))
    assert words[:4] == ["$", "python", "-m", "nixcache"]
    assert call(*words[4:]) == (0, f"{statement.to_json().decode()}\n", "")


def test_the_program_works_as_it_stands(files: Path) -> None:
    """The generic tool's way; and it refuses what was changed."""
    answer = subprocess.run([sys.executable, "-c", block("python")], capture_output=True, check=True, cwd=files)
    assert b"hello-2.12" in answer.stdout
    signed = Envelope.from_json((files / "provenance.json").read_bytes())
    forged = Envelope(signed.payload_type, signed.payload.replace(b"ci-1", b"ci-2"), signed.signatures)
    (files / "provenance.json").write_bytes(forged.to_json())
    refused = subprocess.run([sys.executable, "-c", block("python")], capture_output=True, check=False, cwd=files)
    assert b"VerificationError" in refused.stderr
    assert refused.returncode == 1
