"""The scheduler: one actor at a time, the same choices give the same run, and every run ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from hypothesis import find, given, settings
from hypothesis import strategies as st

from lambdas.ingest.adapters.clients import Clients
from tests.simulator import scheduler as module
from tests.simulator.aws import SimulatedAws
from tests.simulator.errors import Killed, RefusedError
from tests.simulator.scheduler import Choose, Fate, Outcome, Scheduler, Step, StuckError, replay
from tests.simulator.serial_pool import SerialPool

CHOICES = st.lists(st.integers(0, 2), max_size=12)


class Account:
    """A number in S3, to which two actors add one each: with care, or without."""

    def __init__(self, choose: Choose, *, careful: bool, fate: Fate = lambda _: None) -> None:
        self.aws = SimulatedAws()
        self.bucket = self.aws.create_bucket("b", versioned=False)
        self.aws.connect().s3.put_object(Bucket="b", Key="n", Body=b"0")
        self.scheduler = Scheduler(choose, fate=fate)
        self.outcomes = self.scheduler.run({"x": self._adder(careful=careful), "y": self._adder(careful=careful)})

    @property
    def number(self) -> int:
        return int(self.bucket.read("n") or b"")

    def _adder(self, *, careful: bool) -> Callable[[], None]:
        s3 = self.aws.connect(before=self.scheduler.before).s3

        def add() -> None:
            while True:
                answer = s3.get_object(Bucket="b", Key="n")
                number = str(int(answer["Body"].read()) + 1).encode()
                if not careful:
                    s3.put_object(Bucket="b", Key="n", Body=number)
                    return
                try:
                    s3.put_object(Bucket="b", Key="n", Body=number, IfMatch=answer["ETag"])
                except ClientError:
                    continue
                return

        return add


def test_zeros_run_one_actor_after_the_other() -> None:
    account = Account(replay([]), careful=False)
    assert account.number == 2
    assert account.scheduler.story().splitlines() == [
        "x #0 GetObject b/n",
        "x #1 PutObject b/n",
        "y #0 GetObject b/n",
        "y #1 PutObject b/n",
    ]


def test_a_lost_update_is_found_and_shrunk_to_one_change_of_turn() -> None:
    """This is what the scheduler is for: the smallest schedule in which two actors spoil each other's work."""
    smallest = find(
        CHOICES,
        lambda choices: Account(replay(choices), careful=False).number != 2,
        settings=settings(deadline=None, database=None, max_examples=1000),
    )
    assert smallest == [0, 1]


@settings(deadline=None, max_examples=60)
@given(CHOICES)
def test_no_schedule_spoils_what_is_done_with_care(choices: list[int]) -> None:
    assert Account(replay(choices), careful=True).number == 2


@settings(deadline=None, max_examples=30)
@given(CHOICES)
def test_the_same_choices_give_the_same_run(choices: list[int]) -> None:
    first, second = (Account(replay(choices), careful=True) for _ in range(2))
    assert first.scheduler.story() == second.scheduler.story()


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_hypothesis_may_draw_at_each_choice(data: st.DataObject) -> None:
    account = Account(lambda waiting: data.draw(st.integers(0, len(waiting) - 1)), careful=True)
    assert account.number == 2


@pytest.mark.parametrize("number", [0, 1])
def test_an_actor_can_be_killed_at_each_of_its_steps(number: int) -> None:
    def fate(step: Step) -> BaseException | None:
        return Killed() if (step.actor, step.number) == ("x", number) else None

    account = Account(replay([]), careful=True, fate=fate)
    assert isinstance(account.outcomes["x"].error, Killed)
    assert account.outcomes["y"] == Outcome()
    assert account.number == 1


def test_a_step_can_be_refused_without_an_end() -> None:
    def fate(step: Step) -> BaseException | None:
        return RefusedError("PreconditionFailed") if (step.actor, step.number) == ("x", 1) else None

    account = Account(replay([]), careful=True, fate=fate)
    assert account.outcomes == {"x": Outcome(), "y": Outcome()}
    assert account.number == 2
    assert [step.number for step in account.scheduler.trace if step.actor == "x"] == [0, 1, 2, 3]


def _reader(clients: Clients, times: int) -> Callable[[], str]:
    def read() -> str:
        for _ in range(times):
            clients.s3.list_objects_v2(Bucket="b")
        return threading.current_thread().name

    return read


def test_what_an_actor_returns_is_its_outcome() -> None:
    aws = SimulatedAws()
    aws.create_bucket("b", versioned=False)
    scheduler = Scheduler(replay([1, 1, 1]))
    actors = {name: _reader(aws.connect(before=scheduler.before), times) for name, times in (("x", 3), ("y", 0))}
    assert scheduler.run(actors) == {"x": Outcome("x"), "y": Outcome("y")}


def test_the_watcher_sees_every_step_and_ends_the_run() -> None:
    aws = SimulatedAws()
    bucket = aws.create_bucket("b", versioned=False)
    seen: list[list[str]] = []

    def watch() -> None:
        seen.append(bucket.keys())
        assert "x1" not in bucket.keys()  # noqa: SIM118 - a bucket is no dictionary

    scheduler = Scheduler(replay([]), watch=watch)

    def writer(name: str) -> Callable[[], None]:
        s3, another = (aws.connect(before=scheduler.before).s3 for _ in range(2))

        def write() -> None:
            try:
                for number in range(3):
                    s3.put_object(Bucket="b", Key=f"{name}{number}")
            finally:
                another.put_object(Bucket="b", Key="its last will")  # who has to leave does not get to this

        return write

    threads = threading.active_count()
    with pytest.raises(AssertionError):
        scheduler.run({"x": writer("x"), "y": writer("y")})
    assert seen == [["x0"], ["x0", "x1"]]
    assert bucket.keys() == ["x0", "x1"]
    assert threading.active_count() == threads


def test_an_actor_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    aws = SimulatedAws()
    aws.create_bucket("b", versioned=False)
    scheduler = Scheduler(replay([]))
    end = threading.Event()
    with pytest.raises(StuckError, match="x hangs"):
        scheduler.run({"x": end.wait, "y": lambda: bool(_reader(aws.connect(before=scheduler.before), 1)())})
    end.set()


def test_the_pool_of_an_actor_works_while_it_has_the_turn() -> None:
    aws = SimulatedAws()
    aws.create_bucket("b", versioned=False)
    scheduler = Scheduler(replay([0, 1, 0, 1]))

    def actor() -> Callable[[], int]:
        s3 = aws.connect(before=scheduler.before).s3

        def work() -> int:
            s3.list_objects_v2(Bucket="b", Prefix="first")
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda _: s3.list_objects_v2(Bucket="b", Prefix="pool"), range(4)))
            s3.list_objects_v2(Bucket="b", Prefix="last")
            return len(answers)

        return work

    assert scheduler.run({"x": actor(), "y": actor()}) == {"x": Outcome(4), "y": Outcome(4)}
    told = [(step.actor, step.request.target) for step in scheduler.trace]
    pool = ("b/first*", *["b/pool*"] * 4)
    assert [target for actor, target in told if actor == "x"] == [*pool, "b/last*"]
    assert [target for actor, target in told if actor == "y"] == [*pool, "b/last*"]


def test_a_serial_pool_makes_each_request_a_step() -> None:
    aws = SimulatedAws()
    aws.create_bucket("b", versioned=False)
    scheduler = Scheduler(replay([0, 1, 1, 1, 1]))

    def actor() -> Callable[[], None]:
        s3 = aws.connect(before=scheduler.before).s3

        def work() -> None:
            with SerialPool(4) as pool:
                list(pool.map(lambda number: s3.list_objects_v2(Bucket="b", Prefix=str(number)), range(3)))

        return work

    scheduler.run({"x": actor(), "y": actor()})
    assert [(step.actor, step.number) for step in scheduler.trace] == [
        ("x", 0),
        ("y", 0),
        ("x", 1),
        ("y", 1),
        ("x", 2),
        ("y", 2),
    ]


def test_a_serial_pool_goes_on_after_a_failure_like_a_real_one() -> None:
    def halve(number: int) -> int:
        asked.append(number)
        return 10 // number

    for pool in (SerialPool(2), ThreadPoolExecutor(2)):
        asked: list[int] = []
        with pytest.raises(ZeroDivisionError), pool:
            list(pool.map(halve, [1, 0, 2]))
        assert sorted(asked) == [0, 1, 2]
