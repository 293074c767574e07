"""A thread pool without threads: what ingest would ask at once, its own thread asks one after the other.

That is one of the orders in which AWS could get the requests. Under :mod:`tests.simulator.scheduler` each of them is
then a step of its own, which others may come between, and the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Self, TypeVar
from unittest import mock

from lambdas.ingest import lookup
from lambdas.ingest.adapters import nar_copy

A = TypeVar("A")
B = TypeVar("B")


class SerialPool:
    """As much of :class:`concurrent.futures.ThreadPoolExecutor` as ingest uses."""

    def __init__(self, _: int) -> None:
        """Take the number of threads that there would be."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is under way."""

    def map(self, function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """Call ``function`` with all of ``items``; like the real one, with the later ones even if an earlier fails."""
        done = []
        for item in items:
            future: futures.Future[B] = futures.Future()
            try:
                future.set_result(function(item))
            except Exception as error:  # noqa: BLE001 - kept for whoever asks for the result
                future.set_exception(error)
            done.append(future)
        return (future.result() for future in done)


@contextmanager
def one_thread_a_container() -> Iterator[None]:
    """Have ingest use it for the length of a ``with`` block."""
    with (
        mock.patch.object(lookup, "ThreadPoolExecutor", SerialPool),
        mock.patch.object(nar_copy, "ThreadPoolExecutor", SerialPool),
    ):
        yield
