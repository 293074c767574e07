"""The NAR parser is blind to how its input is cut: same events, same error."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.nixcache.nar_model import Node, events, nar
from tests.nixcache.outcomes import outcome, parse_nar
from tests.nixcache.strategies import cut, mutations, nodes, piece_sizes


@given(nodes(), piece_sizes())
def test_any_cut_gives_the_events_of_the_tree(node: Node, sizes: list[int]) -> None:
    assert parse_nar(cut(nar(node), sizes)) == events(node)


@given(nodes().flatmap(lambda node: mutations(nar(node))), piece_sizes())
def test_any_cut_of_a_damaged_nar_gives_the_same_verdict(data: bytes, sizes: list[int]) -> None:
    whole = outcome(lambda: parse_nar([data]))
    assert outcome(lambda: parse_nar(cut(data, [1]))) == whole
    assert outcome(lambda: parse_nar(cut(data, sizes))) == whole


@given(st.binary(max_size=200), piece_sizes())
def test_any_cut_of_any_bytes_gives_the_same_verdict(data: bytes, sizes: list[int]) -> None:
    assert outcome(lambda: parse_nar(cut(data, sizes))) == outcome(lambda: parse_nar([data]))
