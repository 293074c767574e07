"""What has to be uploaded: the part of a closure that nobody has, references first."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from hook.closure import Plan, plan
from hook.nix_store import PathInfo
from nixcache.hashes import Hash
from nixcache.store_path import StorePath

_HASH = Hash.parse(f"sha256:{'0' * 64}")
Graph = dict[StorePath, set[StorePath]]


def _path(number: int) -> StorePath:
    return StorePath.from_base_name(f"{number:032d}-x")


def _plan(graph: Graph, roots: Iterable[StorePath], published: set[StorePath]) -> tuple[Plan, list[StorePath]]:
    asked: list[StorePath] = []

    def present(paths: set[StorePath]) -> set[StorePath]:
        asked.extend(paths)
        return paths & published

    def infos(paths: Iterable[StorePath]) -> dict[StorePath, PathInfo]:
        return {
            path: PathInfo(
                store_path=path, nar_hash=_HASH, nar_size=1, references=tuple(sorted(graph[path])), deriver=None
            )
            for path in paths
            if path in graph
        }

    return plan(roots, present=present, infos=infos), asked


A, B, C, D = map(_path, range(4))


def test_a_path_s_closure_is_missing_as_far_as_nobody_has_it() -> None:
    planned, _ = _plan({A: {B}, B: {C}, C: set()}, [A], {C})
    assert set(planned.missing) == {A, B}
    assert planned.order() == {A: {B}, B: set()}


def test_nothing_is_asked_below_what_is_published() -> None:
    planned, asked = _plan({A: {B}, B: {C}, C: {D}, D: set()}, [A], {B})
    assert set(planned.missing) == {A}
    assert sorted(asked) == [A, B]


def test_a_path_that_refers_to_itself_does_not_wait_for_itself() -> None:
    planned, _ = _plan({A: {A, B}, B: {B}}, [A], set())
    assert planned.order() == {A: {B}, B: set()}


def test_what_vanished_is_told_and_nothing_that_needs_it_is_uploaded() -> None:
    planned, _ = _plan({A: {B, D}, B: {C}, D: set()}, [A], set())
    assert planned.vanished == {C}
    assert planned.order() == {D: set()}
    assert planned.blocked_by(planned.vanished) == {A: C, B: C, C: C}


@given(st.data())
def test_missing_is_the_closure_less_what_is_published(data: st.DataObject) -> None:
    """For any graph in which, as in any cache, what is published has its closure published."""
    paths = [_path(number) for number in range(12)]
    graph: Graph = {
        path: data.draw(st.sets(st.sampled_from(paths[: index + 1]), max_size=4)) for index, path in enumerate(paths)
    }

    def closure(roots: Iterable[StorePath]) -> set[StorePath]:
        seen: set[StorePath] = set()
        todo = list(roots)
        while todo:
            if (path := todo.pop()) not in seen:
                seen.add(path)
                todo.extend(graph[path])
        return seen

    published = closure(data.draw(st.sets(st.sampled_from(paths))))
    roots = data.draw(st.sets(st.sampled_from(paths)))
    planned, asked = _plan(graph, roots, published)
    assert planned.missing.keys() == closure(roots) - published
    assert len(asked) == len(set(asked)), "no look-up is made twice"
    for path, before in planned.order().items():
        assert before == (graph[path] & planned.missing.keys()) - {path}
