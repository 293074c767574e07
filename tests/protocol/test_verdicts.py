"""Verdicts: the words for them, and which are final."""

from __future__ import annotations

import pytest

from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash
from protocol.verdicts import (
    Against,
    AwaitingQuorum,
    Conflict,
    Duplicate,
    Kind,
    Published,
    Rejected,
    ServiceCode,
    Verdict,
    Waiting,
    is_final,
)

ZERO = Hash.parse("sha256:" + "0" * 52)
VERDICTS: list[tuple[Verdict, str, bool]] = [
    (Published(("key-1",)), "published", True),
    (Duplicate(), "duplicate", True),
    (Duplicate("https://cache.example.org"), "duplicate", True),
    (Waiting(()), "waiting", False),
    (AwaitingQuorum(1, 2), "awaiting-quorum", False),
    *((Conflict(ZERO, ZERO, against), "conflict", True) for against in Against),
    (Rejected("code", "problem", "remedy", None, None), "rejected", True),
]


@pytest.mark.parametrize(("verdict", "kind", "final"), VERDICTS, ids=[kind for _, kind, _ in VERDICTS])
def test_each_verdict_has_its_word_and_only_those_that_wait_go_on(verdict: Verdict, kind: str, *, final: bool) -> None:
    assert verdict.kind == kind
    assert is_final(verdict) is final


def test_there_are_no_others() -> None:
    assert {kind for _, kind, _ in VERDICTS} == set(Kind)


def test_an_error_becomes_a_rejection_that_says_as_much() -> None:
    """I6: the builder reads where and why, and what to do."""
    error = PermanentError(Code.NAR_MALFORMED, "Wrong.", remedy="Mend it.", field="NAR", offset=7)
    assert Rejected.because(error) == Rejected("nar-malformed", "Wrong.", "Mend it.", "NAR", 7)
    code = Rejected.because(error).code
    assert type(code) is str, "a document holds words, not members"


def test_service_codes_are_stable_and_their_own() -> None:
    """New ones may come; a changed one breaks whoever reads result documents."""
    assert set(ServiceCode) >= {
        *("hash-part-mismatch", "narinfo-missing", "nar-missing", "object-unreadable", "reference-undeclared"),
        *("references-missing", "quorum-missing", "not-allowed"),
    }
    assert not set(ServiceCode) & set(Code)
