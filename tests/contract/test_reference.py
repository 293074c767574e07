"""docs/reference/s3-semantics.md says what the suite asks, and the suite asks enough."""

from __future__ import annotations

from tests.contract.engines import EngineName
from tests.contract.promises import WITNESSES_NEEDED
from tests.contract.reference import BEGIN, DOCUMENT, all_promises, render


def test_the_tables_are_those_of_the_suite() -> None:
    """If this fails: `python -m tests.contract.reference` prints what belongs below the mark."""
    _, _, tables = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    assert tables == render()


def test_the_simulator_keeps_every_promise() -> None:
    assert [promise.sentence for promise in all_promises() if not promise.kept_by(EngineName.MEMORY)] == []


def test_where_engines_do_not_agree_aws_has_written_it_down() -> None:
    for promise in all_promises():
        assert len(promise.witnesses) >= WITNESSES_NEEDED or promise.documented, promise.sentence


def test_no_two_promises_are_the_same() -> None:
    """A test whose docstring was copied with it would stand in the tables as if something else were asked."""
    sentences = [promise.sentence for promise in all_promises()]
    assert len(set(sentences)) == len(sentences)
    assert all(sentence.endswith(".") for sentence in sentences)
