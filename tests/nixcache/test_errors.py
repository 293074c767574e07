"""The exception tree: permanent and transient, each told in one line."""

from __future__ import annotations

import pytest

from nixcache.errors import AssayError, Code, PermanentError, TransientError


def test_a_permanent_error_says_code_place_problem_and_remedy() -> None:
    error = PermanentError(Code.NAR_MALFORMED, "It is broken.", remedy="Mend it.", field="NAR", offset=0)
    assert str(error) == "nar-malformed (NAR, byte 0): It is broken. Mend it."
    assert (error.code, error.problem, error.remedy) == (Code.NAR_MALFORMED, "It is broken.", "Mend it.")


@pytest.mark.parametrize(
    ("field", "offset", "text"),
    [
        (None, None, "too-large: Big."),
        ("NarSize", None, "too-large (NarSize): Big."),
        (None, 7, "too-large (byte 7): Big."),
    ],
)
def test_what_is_not_known_is_left_out(field: str | None, offset: int | None, text: str) -> None:
    assert str(PermanentError(Code.TOO_LARGE, "Big.", field=field, offset=offset)) == text


def test_a_transient_error_says_problem_and_remedy() -> None:
    assert str(TransientError("No network.", remedy="Wait.")) == "No network. Wait."
    assert str(TransientError("No network.")) == "No network."


def test_the_two_are_branches_of_one_tree() -> None:
    assert issubclass(PermanentError, AssayError)
    assert issubclass(TransientError, AssayError)
    assert not issubclass(PermanentError, TransientError)


def test_codes_are_kebab_case_and_stable() -> None:
    """Result documents and other programs hold these words: new ones may come, a changed one breaks them."""
    assert set(Code) >= {
        "narinfo-malformed",
        "store-path-malformed",
        "hash-malformed",
        "content-address-malformed",
        "key-malformed",
        "signature-malformed",
        "compression-unsupported",
        "compressed-data-malformed",
        "nar-malformed",
        "nar-trailing-data",
        "nar-hash-mismatch",
        "nar-size-mismatch",
        "file-hash-mismatch",
        "file-size-mismatch",
        "reference-not-found",
        "ca-mismatch",
        "too-large",
        "attestation-malformed",
        "attestation-unsigned",
        "attestation-mismatch",
    }
