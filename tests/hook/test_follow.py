"""Following what another process uploads, against a queue of our own and a clock that nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hook import post_build
from hook.errors import Cause, Trouble
from hook.exit_code import ExitCode
from hook.follow import Ending, Everything, Fate, Followed, Named, follow
from hook.queue.entry import Entry, Queued, Refused, Submitted
from hook.queue.queue import Queue
from hook.queue.view import Concluded, Known, QueueView
from hook.report import Report
from nixcache.errors import TransientError
from nixcache.store_path import NIX_STORE, StorePath

A, B, C = (StorePath.from_base_name(f"{digit * 32}-{digit}") for digit in "abc")


class Script:
    """A clock, and what happens at each look: each pause runs the next step, and the time passes at once."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> bool:
        assert seconds > 0, "a pause of nothing is a busy loop"
        self.now += seconds
        return bool(self._steps.pop(0)()) if self._steps else False


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """Owned, so that the view has to ask through the socket, as it has to ask a daemon."""
    queue = Queue(tmp_path, NIX_STORE, report=Report())
    with queue.owned() as mine:
        assert mine
        yield queue


def _view(queue: Queue) -> QueueView:
    return QueueView(queue.state_dir, queue.store_dir)


def _submitted(path: StorePath, *waits_for: StorePath) -> Entry:
    progress = Submitted(version_id="1", staged_at=datetime.now(UTC), since=time.time(), uploads=1, waits_for=waits_for)
    return Entry(path, time.time(), progress)


def _queued(path: StorePath) -> Entry:
    return Entry(path, time.time(), Queued())


def _publish(queue: Queue, path: StorePath) -> Callable[[], object]:
    return lambda: queue.conclude(path, Concluded(path, time.time(), "published", ""))


def _follow(
    queue: Queue, paths: Named | Everything, script: Script, *, timeout: float = 60, while_owned: bool = False
) -> tuple[Followed, list[Fate]]:
    told: list[Fate] = []
    followed = follow(
        _view(queue),
        paths,
        timeout=timeout,
        tell=told.append,
        pause=script.pause,
        clock=script.clock,
        while_owned=while_owned,
    )
    return followed, told


def test_each_ending_is_told_once_and_when_it_is_known(queue: Queue) -> None:
    queue.save(_queued(A), _submitted(B))
    followed, told = _follow(queue, Named([A, B]), Script(_publish(queue, B), lambda: None, _publish(queue, A)))
    assert followed.code is ExitCode.DONE
    assert [(fate.path, fate.ending) for fate in told] == [(B, Ending.PUBLISHED), (A, Ending.PUBLISHED)]


def test_a_refusal_ends_it_with_its_reason(queue: Queue) -> None:
    queue.save(_queued(A))
    script = Script(lambda: queue.refuse(A, code="nar-hash-mismatch", problem="Wrong."))
    followed, [told] = _follow(queue, Named([A]), script)
    assert followed.code is ExitCode.REFUSED
    assert (told.outcome, told.why) == ("rejected", "Wrong.")


def test_what_waits_through_others_for_a_rejected_path_is_not_waited_for(queue: Queue) -> None:
    queue.save(Entry(A, 1.0, Refused(code="x", problem="Wrong.", since=1.0)), _submitted(B, A), _submitted(C, B))
    followed, told = _follow(queue, Named([C]), Script())
    assert followed.code is ExitCode.REFUSED
    assert [(fate.path, fate.outcome) for fate in told] == [(C, "blocked")]
    assert f"waits for {B.base_name} (which was rejected)" in told[0].why


def test_waiting_for_one_another_ends_by_the_clock(queue: Queue) -> None:
    """Nobody can submit such a circle; a ledger that lies about it must not hang us."""
    queue.save(_submitted(A, B), _submitted(B, A))
    followed, told = _follow(queue, Named([A]), Script())
    assert (followed.code, told) == (ExitCode.TIMED_OUT, [])
    assert followed.fates[A].ending is Ending.OPEN


def test_time_out_of_nothing_looks_once(queue: Queue) -> None:
    queue.save(_queued(A))
    followed, _ = _follow(queue, Named([A]), Script(), timeout=0)
    assert followed.code is ExitCode.TIMED_OUT


def test_a_refusal_outweighs_what_is_open(queue: Queue) -> None:
    queue.save(_queued(A), Entry(B, 1.0, Refused(code="x", problem="Wrong.", since=1.0)))
    assert _follow(queue, Named([A, B]), Script())[0].code is ExitCode.REFUSED


def test_an_interruption_ends_it(queue: Queue) -> None:
    queue.save(_queued(A))
    assert _follow(queue, Named([A]), Script(lambda: True))[0].code is ExitCode.INTERRUPTED


def test_what_was_rejected_and_is_spooled_again_is_waited_for(queue: Queue) -> None:
    queue.save(Entry(A, 1.0, Refused(code="x", problem="Wrong.", since=1.0)))
    post_build.enqueue(str(queue.state_dir), [NIX_STORE.render(A)])
    assert _follow(queue, Named([A]), Script(), timeout=0)[0].code is ExitCode.TIMED_OUT


@pytest.mark.parametrize(
    ("cache", "ending"), [({A}, Ending.PUBLISHED), (set(), Ending.UNKNOWN), (None, Ending.UNKNOWN)]
)
def test_of_what_the_queue_does_not_know_the_cache_is_asked(
    queue: Queue, cache: set[StorePath] | None, ending: Ending
) -> None:
    followed = follow(
        _view(queue),
        Named([A]),
        timeout=0,
        tell=lambda _: None,
        pause=Script().pause,
        is_published=None if cache is None else lambda paths: cache & set(paths),
    )
    assert followed.fates[A].ending is ending
    assert followed.code is (ExitCode.DONE if ending is Ending.PUBLISHED else ExitCode.REFUSED)


def test_an_owner_that_ends_leaves_the_rest_to_whoever_waits(tmp_path: Path) -> None:
    """Two pushes at once: the first ends when its own path is through, maybe before it has seen the other's."""
    queue = Queue(tmp_path, NIX_STORE, report=Report())
    with queue.owned():
        queue.save(_queued(A))
    followed, _ = _follow(queue, Named([A]), Script(), while_owned=True)
    assert followed.is_abandoned


def test_while_somebody_owns_it_nothing_is_taken_over(queue: Queue) -> None:
    queue.save(_queued(A))
    followed, _ = _follow(queue, Named([A]), Script(), while_owned=True)
    assert (followed.is_abandoned, followed.code) == (False, ExitCode.TIMED_OUT)


def test_everything_is_what_is_there_now_and_not_what_comes_later(queue: Queue) -> None:
    queue.save(_queued(A))
    paths = Everything(_view(queue), rejected=True)
    later = Entry(B, time.time() + 1000, Queued())
    script = Script(lambda: queue.save(later), _publish(queue, A))
    followed, _ = _follow(queue, paths, script)
    assert (followed.code, set(followed.fates)) == (ExitCode.DONE, {A})


@pytest.mark.parametrize("rejected", [True, False])
def test_everything_counts_what_was_rejected_before_if_so_wished(queue: Queue, *, rejected: bool) -> None:
    queue.save(Entry(A, 1.0, Refused(code="x", problem="Wrong.", since=1.0)))
    followed, _ = _follow(queue, Everything(_view(queue), rejected=rejected), Script())
    assert followed.code is (ExitCode.REFUSED if rejected else ExitCode.DONE)


def test_a_hook_run_that_names_no_path_yet_is_waited_for(queue: Queue) -> None:
    """I9: Nix 2.8.0 tells its hook the derivation alone; until it is taken in, nothing else is known of the build."""
    post_build.enqueue(str(queue.state_dir), [], drv_path=NIX_STORE.render(A))

    def take_in() -> None:
        queue.take_in(lambda _: [B])

    followed, _ = _follow(queue, Everything(_view(queue), rejected=True), Script(take_in, _publish(queue, B)))
    assert (followed.code, set(followed.fates)) == (ExitCode.DONE, {B})
    post_build.enqueue(str(queue.state_dir), [], drv_path=NIX_STORE.render(A))
    followed, _ = _follow(queue, Everything(_view(queue), rejected=True), Script())
    assert followed.code is ExitCode.TIMED_OUT


def test_everything_of_a_queue_that_is_longer_than_an_answer(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hook.follow.LISTED", 2)
    queue.save(_queued(A), _queued(B), _queued(C))
    script = Script(_publish(queue, A), _publish(queue, B), _publish(queue, C))
    followed, _ = _follow(queue, Everything(_view(queue), rejected=True), script)
    assert (followed.code, set(followed.fates)) == (ExitCode.DONE, {A, B, C})


def _refused(path: StorePath) -> Entry:
    return Entry(path, 1.0, Refused(code="x", problem="Wrong.", since=1.0))


@pytest.mark.parametrize("rejected", [True, False])
def test_older_rejections_hide_nothing_however_many(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, *, rejected: bool
) -> None:
    """They stay until somebody forgets them; what is open behind them must be waited for, and all of them be told."""
    monkeypatch.setattr("hook.follow.LISTED", 2)
    monkeypatch.setattr("hook.queue.view.PAGE", 2)
    older = [StorePath.from_base_name(f"{digit * 32}-older") for digit in "01234"]
    queue.save(*map(_refused, older), _queued(A))
    script = Script(_publish(queue, A))
    followed, _ = _follow(queue, Everything(_view(queue), rejected=rejected), script)
    assert set(followed.fates) == ({A, *older} if rejected else {A})
    assert followed.code is (ExitCode.REFUSED if rejected else ExitCode.DONE)
    assert script.now < 60, "and nobody waits for the end of the time"


@pytest.mark.parametrize("rejected", [True, False])
def test_a_rejection_out_of_sight_is_told(queue: Queue, monkeypatch: pytest.MonkeyPatch, *, rejected: bool) -> None:
    """I9: of a long queue, a path may be rejected before it is among the oldest; the job must not pass for that."""
    monkeypatch.setattr("hook.follow.LISTED", 1)
    queue.save(Entry(A, 1.0, Queued()), Entry(B, 2.0, Queued()))

    def judge() -> None:
        queue.refuse(B, code="x", problem="Wrong.")
        queue.conclude(A, Concluded(A, time.time(), "published", ""))

    followed, told = _follow(queue, Everything(_view(queue), rejected=rejected), Script(judge))
    assert followed.code is ExitCode.REFUSED
    assert [(fate.path, fate.outcome) for fate in told] == [(A, "published"), (B, "rejected")]


def test_what_was_rejected_before_and_is_built_again_is_followed(queue: Queue) -> None:
    queue.save(_refused(A))
    post_build.enqueue(str(queue.state_dir), [NIX_STORE.render(A)])

    def take_in() -> None:
        queue.take_in(lambda _: [])

    followed, _ = _follow(queue, Everything(_view(queue), rejected=False), Script(take_in, _publish(queue, A)))
    assert (followed.code, set(followed.fates)) == (ExitCode.DONE, {A})


def test_nothing_is_done_at_once(queue: Queue) -> None:
    script = Script()
    assert _follow(queue, Everything(_view(queue), rejected=True), script)[0].code is ExitCode.DONE
    assert script.now == 0.0


class Cache:
    """Answers what ``answers`` say, one after another; the last of them for ever."""

    def __init__(self, *answers: set[StorePath] | Exception) -> None:
        self._answers = list(answers)

    def __call__(self, paths: Collection[StorePath]) -> set[StorePath]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer & set(paths)


_DOWN = Trouble(Cause.NETWORK, "The cache is down.", remedy="Wait.")
_OTHERWISE_DOWN = Trouble(Cause.THROTTLED, "The cache is busy.", remedy="Wait.")
_WRONG = Trouble(Cause.SERVICE, "The cache answered 401.", remedy="Check cache_url.")


def _follow_in_trouble(
    view: QueueView, script: Script, is_published: Callable[[Collection[StorePath]], set[StorePath]], *paths: StorePath
) -> tuple[Followed, list[Fate], list[TransientError]]:
    told: list[Fate] = []
    troubles: list[TransientError] = []
    followed = follow(
        view,
        Named(paths),
        timeout=60,
        tell=told.append,
        tell_trouble=troubles.append,
        pause=script.pause,
        is_published=is_published,
        clock=script.clock,
    )
    return followed, told, troubles


def test_a_cache_that_does_not_answer_is_asked_again_and_told_once(queue: Queue) -> None:
    cache = Cache(_DOWN, _OTHERWISE_DOWN, _DOWN, {A})
    followed, told, troubles = _follow_in_trouble(_view(queue), Script(), cache, A)
    assert (followed.code, followed.trouble, troubles) == (ExitCode.DONE, None, [_DOWN])
    assert [fate.path for fate in told] == [A]


def test_a_cache_that_is_down_keeps_nothing_of_the_queue_from_being_told(queue: Queue) -> None:
    queue.save(_queued(B))
    followed, told, _ = _follow_in_trouble(_view(queue), Script(_publish(queue, B)), Cache(_DOWN), A, B)
    assert [fate.path for fate in told] == [B]
    assert (followed.fates[A].ending, followed.fates[A].why) == (Ending.OPEN, str(_DOWN))


def test_a_cache_that_never_answers_ends_it_with_the_time(queue: Queue) -> None:
    script = Script()
    followed, told, troubles = _follow_in_trouble(_view(queue), script, Cache(_DOWN), A)
    assert (followed.code, followed.is_timed_out, followed.trouble) == (ExitCode.TROUBLE, True, _DOWN)
    assert (told, troubles, script.now) == ([], [_DOWN], 60)


def test_a_configuration_that_cannot_work_is_not_waited_for(queue: Queue) -> None:
    script = Script()
    followed, _, troubles = _follow_in_trouble(_view(queue), script, Cache(_WRONG), A)
    assert (followed.code, followed.is_timed_out, troubles) == (ExitCode.TROUBLE, False, [_WRONG])
    assert script.now == 0


def test_an_owner_that_does_not_answer_is_asked_again(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """I9: a disk that hangs for a minute under the owner must not fail the job."""
    queue.save(_queued(A))
    view, troubles = _view(queue), [Trouble(Cause.MACHINE, "No answer."), None, Trouble(Cause.MACHINE, "No answer.")]
    known = view.known

    def sometimes(paths: Iterable[StorePath]) -> dict[StorePath, Known]:
        if troubles and (trouble := troubles.pop(0)):
            raise trouble
        return known(paths)

    monkeypatch.setattr(view, "known", sometimes)
    followed, told, heard = _follow_in_trouble(
        view, Script(lambda: None, lambda: None, _publish(queue, A)), Cache(set()), A
    )
    assert (followed.code, len(heard)) == (ExitCode.DONE, 2)
    assert [fate.ending for fate in told] == [Ending.PUBLISHED], "and is told once"
