"""A deterministic scheduler: several containers in lock step, one AWS request at a time.

Each container runs in a thread of its own, but only one of them at any moment. Before each of its requests it gives up
the turn, and a supplied function chooses who goes on: the same choices give the same run. So Hypothesis can draw
schedules and shrink them, and one that failed can be replayed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from tests.simulator.requests import Request

T = TypeVar("T")

PATIENCE_SECONDS: Final = 60.0
"""How long an actor may compute between two requests before it is taken to hang."""


@dataclass(frozen=True, slots=True)
class Step:
    """The request that ``actor`` sends next, or has sent; ``number`` counts its turns from 0."""

    actor: str
    number: int
    request: Request

    def __str__(self) -> str:
        return f"{self.actor} #{self.number} {self.request}"


Choose: TypeAlias = Callable[[Sequence[Step]], int]
"""Gets what each waiting actor would do next, and returns the position of the one that goes on.

Whoever went last stands first, if it can go on; the others follow in their order. So a schedule of zeros runs one actor
after the other, and each other number is a change of turn. Called in the thread that called :meth:`Scheduler.run`: it
may draw from Hypothesis.
"""
Fate: TypeAlias = Callable[[Step], BaseException | None]
"""Returns what a step meets instead of reaching AWS, if anything: ``Killed()``, a ``RefusedError``, a time-out."""


def replay(choices: Sequence[int]) -> Choose:
    """Return what makes these choices, each modulo the number of actors that wait; when they are used up, the first."""
    left = iter(choices)
    return lambda waiting: next(left, 0) % len(waiting)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """How an actor ended: with the ``value`` that it returned, or the ``error`` that it raised."""

    value: T | None = None
    error: BaseException | None = None


class StuckError(Exception):
    """An actor neither sends a request nor ends: it waits for something that only another actor could do."""


class _Abandoned(BaseException):
    """The run is over for another reason: the actor has to leave."""


class _Actor(Generic[T]):
    """One thread, which runs only between :meth:`resume` and the moment when it gives the turn back."""

    def __init__(self, name: str, work: Callable[[], T], on_start: Callable[[_Actor[T]], None]) -> None:
        self.name = name
        self.waits_at: Step | None = None
        self.outcome: Outcome[T] | None = None
        self.hangs = False
        self._work = work
        self._on_start = on_start
        self._steps = 0
        self._fate: BaseException | None = None
        self._turn = threading.Semaphore(0)
        self._turn_back = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Run up to the first request, or to the end."""
        self._thread.start()
        self._await_turn_back()

    def resume(self, fate: BaseException | None = None) -> None:
        """Run up to the next request, or to the end; the request that it waits at meets ``fate``."""
        self._fate = fate
        self._turn.release()
        self._await_turn_back()

    def wait_for_turn(self, request: Request) -> None:
        """Called in the thread itself."""
        if not isinstance(self._fate, _Abandoned):
            self.waits_at = Step(self.name, self._steps, request)
            self._steps += 1
            self._turn_back.release()
            self._turn.acquire()
        if self._fate is not None:
            raise self._fate

    def join(self) -> None:
        """Wait for the thread's end, which :attr:`outcome` has announced."""
        self._thread.join()

    def _await_turn_back(self) -> None:
        if not self._turn_back.acquire(timeout=PATIENCE_SECONDS):
            self.hangs = True
            raise StuckError(f"{self.name} hangs after {self.waits_at or 'its start'}")

    def _run(self) -> None:
        self._on_start(self)
        try:
            self.outcome = Outcome(value=self._work())
        except BaseException as error:  # noqa: BLE001 - an actor may die in every way there is
            self.outcome = Outcome(error=error)
        self._turn_back.release()


class _OfThread(threading.local):
    """What the thread that asks has to call before a request: nothing, if it is no actor."""

    wait_for_turn: Callable[[Request], None] | None = None


class Scheduler:
    """Runs actors in lock step. Their clients must have :meth:`before` as, or in, their ``before`` hook."""

    def __init__(
        self, choose: Choose, *, fate: Fate = lambda _: None, watch: Callable[[], None] = lambda: None
    ) -> None:
        """``choose`` says who goes on, and ``fate`` what becomes of it.

        ``watch`` is called after each step while nobody runs; what it raises ends the run, and comes out of it.
        """
        self.trace: list[Step] = []
        self._choose = choose
        self._fate = fate
        self._watch = watch
        self._of_thread = _OfThread()
        self._going: Step | None = None

    def before(self, request: Request) -> None:
        """Wait for the turn; raise what fate has in store.

        Threads that are no actor's go straight through: they are an actor's pool, which works while it has the turn.
        """
        if self._of_thread.wait_for_turn:
            self._of_thread.wait_for_turn(request)
        elif self._going:
            self.trace.append(Step(self._going.actor, self._going.number, request))

    def run(self, actors: Mapping[str, Callable[[], T]]) -> dict[str, Outcome[T]]:
        """Run all of ``actors`` to their ends; return how each ended, by its name.

        No thread outlives this. Raises what a supplied function raises, or :class:`StuckError`.
        """
        running: list[_Actor[T]] = []
        try:
            outcomes = self._run(actors, running)
        except BaseException:
            for actor in running:
                if actor.outcome is None and not actor.hangs:
                    actor.resume(_Abandoned())
                if not actor.hangs:
                    actor.join()
            raise
        for actor in running:
            actor.join()
        return outcomes

    def story(self) -> str:
        """Return what was done, one line a request: for the message of a test that failed."""
        return "\n".join(map(str, self.trace))

    def _run(self, actors: Mapping[str, Callable[[], T]], running: list[_Actor[T]]) -> dict[str, Outcome[T]]:
        for name, work in actors.items():
            actor = _Actor(name, work, self._register)
            running.append(actor)
            actor.start()
        last: _Actor[T] | None = None
        while waiting := sorted(
            (actor for actor in running if actor.outcome is None), key=lambda actor: actor is not last
        ):
            steps = [actor.waits_at for actor in waiting if actor.waits_at]
            chosen = self._choose(steps)
            last, self._going = waiting[chosen], steps[chosen]
            self.trace.append(steps[chosen])
            last.resume(self._fate(steps[chosen]))
            self._watch()
        return {actor.name: actor.outcome for actor in running if actor.outcome}

    def _register(self, actor: _Actor[T]) -> None:
        self._of_thread.wait_for_turn = actor.wait_for_turn
