"""A second thread that does jobs in their order, up to the first that fails."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import TracebackType

JOBS_AHEAD: Final = 8
"""Jobs that are given and not done yet, at most: each holds its data in memory."""


class SecondThread:
    """Whoever gives it jobs hears of the failure of an earlier one when giving the next, or when waiting.

    It fails once and does nothing more, so that the failure is the same however fast either thread is.
    """

    def __init__(self) -> None:
        """Start no thread yet: the first job does."""
        self._executor = ThreadPoolExecutor(1, "second-thread")
        self._given: deque[Future[None]] = deque()
        self._failed = False

    def __enter__(self) -> Self:
        """Use it for the length of a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the job that is being done, and for no other."""
        self._executor.shutdown(cancel_futures=True)

    def give(self, job: Callable[[bytes], None], data: bytes) -> None:
        """Have ``job`` done with ``data``, soon; raises what an earlier job has raised."""
        while self._given and (len(self._given) == JOBS_AHEAD or self._given[0].done()):
            self._given.popleft().result()
        self._given.append(self._executor.submit(self._do, job, data))

    def wait(self) -> None:
        """Wait for all jobs; raises what one of them has raised, unless that has been raised before."""
        while self._given:
            self._given.popleft().result()

    def _do(self, job: Callable[[bytes], None], data: bytes) -> None:
        if self._failed:
            return
        try:
            job(data)
        except BaseException:
            self._failed = True
            raise
