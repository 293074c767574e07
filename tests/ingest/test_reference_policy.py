"""The policy for references: what is warned of, what is rejected, what is let go."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.ingest.reference_policy import MAX_NAMED_LENGTH, NAMED_IN_REJECTION, judge
from nixcache.errors import PermanentError
from nixcache.narinfo import MAX_REFERENCES
from nixcache.references import MAX_UNDECLARED
from nixcache.store_path import MAX_NAME_LENGTH, StorePath
from nixcache.verify import Policy
from protocol.results import metadata_text, read_warnings, warnings_document
from protocol.settings import DEFAULT_REFERENCE_POLICY, ReferencePolicy
from protocol.verdicts import PublicationWarning, ServiceCode
from tests.ingest.store_objects import store_path

A, B, C = (store_path(name) for name in "abc")
REJECT = ReferencePolicy(undeclared=Policy.REJECT)

paths = st.lists(
    st.builds(store_path, st.integers(1, MAX_NAME_LENGTH).map("n".__mul__), st.integers(0, 99).map(str)),
    max_size=MAX_UNDECLARED,
    unique_by=lambda path: path.hash_part,
)


def test_nothing_found_is_nothing_said() -> None:
    for policy in (DEFAULT_REFERENCE_POLICY, REJECT):
        assert judge(policy, unmentioned=(), undeclared=(), more_undeclared=False, in_closure=()) == ()


def test_what_is_said() -> None:
    """Other programs read the codes, people the sentences."""
    assert judge(
        DEFAULT_REFERENCE_POLICY, unmentioned=(A,), undeclared=(B, C), more_undeclared=False, in_closure={C.hash_part}
    ) == (
        PublicationWarning("reference-not-found", "Declared references that the NAR never mentions: 1.", (A,)),
        PublicationWarning(
            "reference-undeclared",
            "Store paths that the NAR mentions, but that are not in the closure of what is declared: 1.",
            (B,),
        ),
    )


def test_a_rejection_says_where_and_what_to_do() -> None:
    many = [store_path("many", str(number)) for number in range(NAMED_IN_REJECTION + 1)]
    with pytest.raises(PermanentError) as caught:
        judge(REJECT, unmentioned=(), undeclared=many, more_undeclared=True, in_closure=())
    error = caught.value
    assert (error.code, error.field) == (ServiceCode.REFERENCE_UNDECLARED, "References")
    assert "6 or more" in error.problem
    assert [path.base_name in error.problem for path in many] == [True] * NAMED_IN_REJECTION + [False]
    assert error.remedy


def test_a_mention_is_known_by_its_hash_part() -> None:
    """The name of a mention goes as far as its characters do: "…/zlib-1.3." at the end of a sentence is zlib-1.3."""
    longer = StorePath(A.hash_part, f"{A.name}.")
    assert judge(REJECT, unmentioned=(), undeclared=[longer], more_undeclared=False, in_closure={A.hash_part}) == ()


@pytest.mark.parametrize("undeclared", [(), (A,)])
def test_more_than_is_named_is_never_cleared(undeclared: tuple[StorePath, ...]) -> None:
    """Nobody has looked at the others, so nobody has shown that they are in the closure."""
    closure = {A.hash_part}
    (warning,) = judge(
        DEFAULT_REFERENCE_POLICY, unmentioned=(), undeclared=undeclared, more_undeclared=True, in_closure=closure
    )
    assert (warning.code, warning.paths) == ("reference-undeclared", ())
    with pytest.raises(PermanentError):
        judge(REJECT, unmentioned=(), undeclared=undeclared, more_undeclared=True, in_closure=closure)


@pytest.mark.parametrize("length", [1, 2, 30, 100, 167, 168, MAX_NAME_LENGTH])
def test_two_warnings_fit_into_s3s_metadata(length: int) -> None:
    """Beside the digest of the submission and whether there is a listing: 2 KB in all."""
    many = [store_path("n" * length, str(number)) for number in range(MAX_REFERENCES)]
    warnings = judge(
        DEFAULT_REFERENCE_POLICY,
        unmentioned=many,
        undeclared=many[:MAX_UNDECLARED],
        more_undeclared=True,
        in_closure=(),
    )
    assert len(json.dumps(warnings_document(warnings))) <= 1900
    assert all(len(warning.paths) >= 2 for warning in warnings)


@given(paths, paths, st.booleans(), st.data())
def test_the_policy(
    unmentioned: list[StorePath],
    undeclared: list[StorePath],
    more: bool,  # noqa: FBT001 - drawn
    data: st.DataObject,
) -> None:
    """Rejected or warned of is the same; and whatever is found, what is said of it is bounded (I7)."""
    in_closure = {path.hash_part for path in data.draw(st.lists(st.sampled_from(undeclared or [A])))}
    left = [path for path in undeclared if path.hash_part not in in_closure]
    warnings = judge(
        DEFAULT_REFERENCE_POLICY,
        unmentioned=unmentioned,
        undeclared=undeclared,
        more_undeclared=more,
        in_closure=in_closure,
    )
    expected = [("reference-not-found", unmentioned)] if unmentioned else []
    expected += [("reference-undeclared", left)] if left or more else []
    assert [warning.code for warning in warnings] == [code for code, _ in expected]
    for warning, (_, about) in zip(warnings, expected, strict=True):
        assert list(warning.paths) == about[: len(warning.paths)]
        assert sum(len(path.base_name) for path in warning.paths) <= MAX_NAMED_LENGTH
        assert len(warning.paths) >= min(2, len(about))
        assert not about or str(len(about)) in warning.problem
    rejected = False
    try:
        judge(REJECT, unmentioned=(), undeclared=undeclared, more_undeclared=more, in_closure=in_closure)
    except PermanentError:
        rejected = True
    assert rejected is bool(left or more)


def test_a_rejection_that_can_name_no_path_says_why() -> None:
    with pytest.raises(PermanentError, match="more than 64 undeclared store paths"):
        judge(REJECT, unmentioned=(), undeclared=[A], more_undeclared=True, in_closure={A.hash_part})


@given(st.text("=?UQ_.", min_size=1, max_size=20).map("a".__add__))
def test_a_name_that_looks_like_an_encoded_word_stays_a_name(name: str) -> None:
    """I5, I6: S3 decodes such words in metadata (RFC 2047), and a warning would come back as something else."""
    warnings = judge(
        DEFAULT_REFERENCE_POLICY,
        unmentioned=(),
        undeclared=[StorePath(A.hash_part, name)],
        more_undeclared=False,
        in_closure=(),
    )
    text = metadata_text(json.dumps(warnings_document(warnings)))
    assert "=?" not in text
    assert read_warnings(json.loads(text)) == warnings
