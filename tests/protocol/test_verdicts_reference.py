"""The reference of verdicts lists what the service says, and nothing that it does not."""

from __future__ import annotations

import re
from pathlib import Path

from nixcache.errors import Code
from protocol.keys import KeyCode
from protocol.verdicts import Against, Kind, ServiceCode

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "verdicts.md"
NEVER_A_VERDICT = {
    # What a narinfo's values raise: the builder reads narinfo-malformed, and which field.
    Code.STORE_PATH_MALFORMED,
    Code.HASH_MALFORMED,
    Code.CONTENT_ADDRESS_MALFORMED,
    Code.SIGNATURE_MALFORMED,
    # Keys come from the operator.
    Code.KEY_MALFORMED,
    # Provenance is written by ingest, and read by operators.
    Code.ATTESTATION_MALFORMED,
    Code.ATTESTATION_UNSIGNED,
    Code.ATTESTATION_MISMATCH,
}


def _first_cells(heading: str) -> list[str]:
    """Return the words in the first column of the last table under ``heading``."""
    _, _, section = REFERENCE.read_text().partition(f"## {heading}\n")
    table = section.split("\n## ")[0].rstrip().split("\n\n")[-1]
    rows = [line.split("|")[1] for line in table.splitlines()[2:] if line.startswith("|")]
    return [word for row in rows for word in re.findall("`([^`]+)`", row)]


def test_every_code_of_a_rejection_is_listed_once() -> None:
    listed = _first_cells("Codes of `rejected`")
    said = (set(Code) - NEVER_A_VERDICT) | set(ServiceCode) | {KeyCode.OBJECT_KEY_MALFORMED}
    assert sorted(listed) == sorted(code.value for code in said)


def test_every_warning_is_listed_once() -> None:
    """What the policy may let pass."""
    listed = _first_cells("Warnings of `published`")
    assert sorted(listed) == sorted((Code.REFERENCE_NOT_FOUND.value, ServiceCode.REFERENCE_UNDECLARED.value))


def test_every_verdict_is_listed_once() -> None:
    assert sorted(_first_cells("The document, schema 1")) == sorted(kind.value for kind in Kind)


def test_everything_that_a_conflict_is_against_is_listed_once() -> None:
    assert sorted(_first_cells("What a `conflict` is against")) == sorted(against.value for against in Against)
