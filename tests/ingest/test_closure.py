"""The walk through a closure: right within its bound, and never beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.ingest import closure as closure_module
from lambdas.ingest.closure import MAX_LOOK_UPS, Closure
from lambdas.ingest.lookup import LOOK_UPS_AT_ONCE, Answer, Lookup
from nixcache.errors import TransientError
from nixcache.store_path import HashPart, StorePath
from tests.ingest.store_objects import store_path

Graph = Mapping[StorePath, tuple[StorePath, ...]]


class Here:
    """Answers from a graph, and counts the questions."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.asked: list[StorePath] = []

    def find(self, path: StorePath) -> Answer:
        self.asked.append(path)
        return Answer(self.graph.get(path))

    @property
    def lookup(self) -> Lookup:
        return cast("Lookup", cast("Any", self))


def _whenever() -> None:
    """There is time."""


def _below(graph: Graph, roots: list[StorePath]) -> list[StorePath]:
    """Return which narinfos are to be read: the nearest first, each once, no more than allowed."""
    seen = list(roots)
    for path in seen:
        seen += [reference for reference in dict.fromkeys(graph.get(path, ())) if reference not in seen]
    return seen[:MAX_LOOK_UPS]


NODES = [store_path(str(number)) for number in range(12)]
graphs = st.dictionaries(
    st.sampled_from(NODES), st.lists(st.sampled_from(NODES), unique=True, max_size=6).map(sorted).map(tuple)
)


@given(graphs, st.lists(st.sampled_from(NODES), unique=True), st.sets(st.sampled_from(NODES)))
def test_it_finds_what_is_below_and_asks_for_nothing_twice(
    graph: Graph, roots: list[StorePath], wanted: set[StorePath]
) -> None:
    """Also where paths reference themselves or each other, or nobody has them; and again from memory (I6)."""
    here = Here(graph)
    closure = Closure(here.lookup)
    parts = {path.hash_part for path in wanted}
    below = {reference.hash_part for path in _below(graph, roots) for reference in graph.get(path, ())}
    assert closure.holds(parts, roots, pulse=_whenever) == parts & below
    assert len(set(here.asked)) == len(here.asked)
    assert set(here.asked) <= set(_below(graph, roots))
    known = [path for path in here.asked if path in graph]
    here.asked.clear()
    assert closure.holds(parts, roots, pulse=_whenever) == parts & below
    assert not set(known) & set(here.asked), "an answer is remembered"


def test_nothing_wanted_is_nothing_asked() -> None:
    here = Here({})
    assert Closure(here.lookup).holds((), NODES, pulse=_whenever) == frozenset()
    assert here.asked == []


def test_an_absence_is_never_remembered() -> None:
    """I6: the path may be there the next moment."""
    a, b = NODES[:2]
    graph: dict[StorePath, tuple[StorePath, ...]] = {}
    closure = Closure(Here(graph).lookup)
    assert closure.holds({b.hash_part}, [a], pulse=_whenever) == frozenset()
    graph[a] = (b,)
    assert closure.holds({b.hash_part}, [a], pulse=_whenever) == {b.hash_part}


def _chain(length: int) -> tuple[list[StorePath], Graph]:
    paths = [store_path("link", str(number)) for number in range(length + 1)]
    return paths, {path: (following,) for path, following in pairwise(paths)}


@pytest.mark.parametrize("remembered", [False, True])
def test_the_bound_is_the_same_from_memory(*, remembered: bool) -> None:
    """I6: the verdict must not depend on what else a container has seen."""
    paths, graph = _chain(MAX_LOOK_UPS + 2)
    here = Here(graph)
    closure = Closure(here.lookup)
    if remembered:
        closure.holds({HashPart("0" * 32)}, paths[100:200], pulse=_whenever)
        here.asked.clear()
    found = closure.holds({path.hash_part for path in paths[-3:]}, paths[:1], pulse=_whenever)
    assert found == {paths[MAX_LOOK_UPS].hash_part}
    assert (len(here.asked) < MAX_LOOK_UPS) is remembered


def test_it_looks_no_further_than_it_must() -> None:
    paths, graph = _chain(50)
    here = Here(graph)
    assert Closure(here.lookup).holds({paths[3].hash_part}, paths[:1], pulse=_whenever)
    assert len(here.asked) == 3


def test_a_wide_closure_is_cut_off_as_well() -> None:
    """I7: neither thousands of declared references nor thousands below each make it look further."""
    roots = [store_path("root", str(number)) for number in range(10)]
    below = {root: tuple(store_path(f"{root.name}{n}", root.hash_part) for n in range(100)) for root in roots}
    here = Here(below)
    last = below[roots[-1]][-1]
    closure = Closure(here.lookup)
    assert closure.holds({last.hash_part, HashPart("0" * 32)}, roots, pulse=_whenever) == {last.hash_part}
    assert len(here.asked) == MAX_LOOK_UPS
    here.asked.clear()
    many = [store_path("many", str(number)) for number in range(MAX_LOOK_UPS + 1)]
    closure.holds({last.hash_part}, many, pulse=_whenever)
    assert sorted(here.asked) == sorted(many[:-1])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """I7: the oldest is forgotten first; paths without references count as well."""
    monkeypatch.setattr(closure_module, "REMEMBERED_PATHS", 4)
    a, b, c, d, e = NODES[:5]
    here = Here({a: (), b: (c,), d: (e,)})
    closure = Closure(here.lookup)
    nobody = {HashPart("0" * 32)}

    def ask(path: StorePath) -> list[StorePath]:
        here.asked.clear()
        closure.holds(nobody, [path], pulse=_whenever)
        return here.asked

    assert ask(a) == [a]
    assert ask(a) == []
    assert ask(b) == [b, c]
    assert ask(a) == []
    assert ask(d) == [d, e]
    assert ask(a) == [a], "it was the first to go"
    assert ask(d) == [e]


def test_whoever_has_only_so_much_time_says_so_between_look_ups() -> None:
    paths, graph = _chain(MAX_LOOK_UPS)
    here = Here(graph)
    closure = Closure(here.lookup)
    turns = iter(range(10))

    def pulse() -> None:
        if next(turns, None) is None:
            raise TransientError("The time is over.")

    with pytest.raises(TransientError):
        closure.holds({paths[-1].hash_part}, paths[:1], pulse=pulse)
    assert len(here.asked) == 10
    assert closure.holds({paths[-1].hash_part}, paths[:1], pulse=_whenever), "what was found stays remembered"
    assert len(here.asked) == MAX_LOOK_UPS


def test_look_ups_are_made_at_once_a_few_at_a_time() -> None:
    roots = [store_path("root", str(number)) for number in range(3 * LOOK_UPS_AT_ONCE)]
    pulses: list[int] = []
    here = Here({})
    Closure(here.lookup).holds({HashPart("0" * 32)}, roots, pulse=lambda: pulses.append(len(here.asked)))
    assert pulses == [0, LOOK_UPS_AT_ONCE, 2 * LOOK_UPS_AT_ONCE]
