"""One round of uploads over a transfer that a test decides on: order, what fails, what goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hook import upload_round
from hook.closure import Plan
from hook.errors import BuilderCode, Cause, Trouble
from hook.nix_store import DumpFailedError, PathInfo
from hook.transfer.staging import Staged
from hook.upload_round import Outcome, UploadRound
from nixcache.errors import PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.store_path import StorePath


def _path(number: int) -> StorePath:
    return StorePath.from_base_name(f"{number:032d}-x")


def _plan(references: dict[int, Iterable[int]]) -> Plan:
    return Plan(
        {
            _path(number): PathInfo(
                store_path=_path(number),
                nar_hash=Hash(HashAlgorithm.SHA256, bytes(32)),
                nar_size=100,
                references=tuple(map(_path, others)),
                deriver=None,
            )
            for number, others in references.items()
        },
        frozenset(),
    )


class _Transfer:
    """Notes what is done, in order; ``fail`` raises for what it likes."""

    def __init__(self, fail: Callable[[str, StorePath], None] = lambda *_: None) -> None:
        self.done: list[tuple[str, StorePath]] = []
        self.at_once = self.most_at_once = 0
        self._fail = fail
        self._lock = threading.Lock()

    def put_nar(self, info: PathInfo) -> None:
        self._do("nar", info.store_path)

    def put_log(self, info: PathInfo) -> None:
        self._do("log", info.store_path)

    def submit(self, info: PathInfo, ca: str | None) -> Staged:
        assert ca == f"ca of {info.store_path.base_name}"
        self._do("narinfo", info.store_path)
        return Staged(f"version of {info.store_path.base_name}", datetime.now(UTC))

    def _do(self, what: str, path: StorePath) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self._fail(what, path)
            with self._lock:
                self.done.append((what, path))
        finally:
            with self._lock:
                self.at_once -= 1

    def of(self, what: str) -> list[StorePath]:
        return [path for kind, path in self.done if kind == what]


def _run(plan: Plan, transfer: _Transfer, *, at_once: int = 4) -> tuple[Outcome, list[StorePath]]:
    told: list[StorePath] = []

    def submitted(staged: dict[StorePath, Staged]) -> None:
        assert all(version.version_id == f"version of {path.base_name}" for path, version in staged.items())
        told.extend(staged)

    outcome = UploadRound(
        plan,
        transfer=transfer,
        content_addresses={path: f"ca of {path.base_name}" for path in plan.missing},
        at_once=at_once,
        build_logs=True,
        submitted=submitted,
        beat=lambda: None,
    ).run()
    assert transfer.most_at_once <= at_once
    assert sorted(told) == sorted(transfer.of("narinfo"))
    return outcome, told


_GRAPHS = st.integers(1, 24).flatmap(
    lambda size: st.tuples(*(st.sets(st.integers(0, number), max_size=5) for number in range(size)))
)
"""For each number, the numbers up to itself that it refers to: every closure there is, self-references included."""


@given(_GRAPHS, st.integers(1, 5))
def test_everything_goes_once_and_every_narinfo_behind_its_nar_and_its_references(
    graph: tuple[set[int], ...], at_once: int
) -> None:
    plan, transfer = _plan(dict(enumerate(graph))), _Transfer()
    outcome, told = _run(plan, transfer, at_once=at_once)
    assert outcome == Outcome()
    assert len(transfer.done) == 3 * len(graph)
    assert set(told) == set(plan.missing)
    place = {step: index for index, step in enumerate(transfer.done)}
    for path, info in plan.missing.items():
        assert place["nar", path] < place["log", path] < place["narinfo", path]
        for reference in set(info.references) - {path}:
            assert told.index(reference) < told.index(path), "it is written down before anything follows"
            assert place["narinfo", reference] < place["narinfo", path]


@given(_GRAPHS, st.sets(st.integers(0, 23)), st.sets(st.integers(0, 23)))
def test_i9_what_fails_takes_with_it_what_needs_it_and_nothing_else(
    graph: tuple[set[int], ...], bad: set[int], unreadable: set[int]
) -> None:
    plan = _plan(dict(enumerate(graph)))
    permanent = {_path(number) for number in bad}
    passing = {_path(number) for number in unreadable} - permanent

    def fail(what: str, path: StorePath) -> None:
        if what == "nar" and path in permanent:
            raise PermanentError(BuilderCode.PATH_CORRUPT, "Corrupt.")
        if what == "nar" and path in passing:
            raise DumpFailedError("Killed.")

    outcome, told = _run(plan, transfer := _Transfer(fail))
    assert outcome.trouble is None
    blocked = plan.blocked_by((permanent | passing) & plan.missing.keys()).keys()
    assert set(told) == plan.missing.keys() - blocked
    assert outcome.failures.keys() | outcome.dumps_failed.keys() <= (permanent | passing)
    # Each that failed is known, unless it was not even tried because a reference of it had failed.
    for path in (permanent | passing) & plan.missing.keys():
        first = set(plan.blocked_by(((permanent | passing) & plan.missing.keys()) - {path}))
        assert path in outcome.failures or path in outcome.dumps_failed or path in first
    assert set(told) <= set(transfer.of("nar"))


@pytest.mark.parametrize("what", ["nar", "log", "narinfo"])
def test_after_trouble_nothing_new_is_begun_and_what_was_done_is_told(what: str) -> None:
    plan = _plan({number: [number - 1] if number else [] for number in range(20)})

    def fail(step: str, path: StorePath) -> None:
        if (step, path) == (what, _path(5)):
            raise Trouble(Cause.NETWORK, "No network.")

    outcome, told = _run(plan, transfer := _Transfer(fail), at_once=1)
    assert isinstance(outcome.trouble, Trouble)
    # A narinfo waits for the one before it, a NAR for nothing: it may be tried before all five of those are in.
    assert told == [_path(number) for number in range(len(told))]
    assert len(told) <= 5 if what == "nar" else len(told) == 5
    assert len(transfer.done) < 3 * 5 + 20


class _Clock:
    """A clock that stands still but for what a test lets pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(("takes", "turns"), [(0, range(11, 51)), (10, range(1, 2))])
def test_the_caller_s_turns_take_a_small_part_of_a_long_round(
    takes: float, turns: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking for verdicts must not hold up what is to be uploaded, however slow the ledger is."""
    clock = _Clock()
    monkeypatch.setattr(upload_round, "time", clock)
    beats: list[float] = []

    def nar_takes_a_second(what: str, _: StorePath) -> None:
        if what == "nar":
            clock.now += 1

    def beat() -> None:
        beats.append(clock.now)
        clock.now += takes

    plan = _plan({number: [] for number in range(50)})
    UploadRound(
        plan,
        transfer=_Transfer(nar_takes_a_second),
        content_addresses={path: f"ca of {path.base_name}" for path in plan.missing},
        at_once=1,
        build_logs=False,
        submitted=lambda _: None,
        beat=beat,
    ).run()
    assert len(beats) in turns


def test_a_large_nar_holds_up_only_what_refers_to_it() -> None:
    """The narinfo of a small path goes while the NAR of a large one is still under way."""
    small_is_in = threading.Event()

    def fail(what: str, path: StorePath) -> None:
        if (what, path) == ("nar", _path(0)):
            assert small_is_in.wait(60)
        if (what, path) == ("narinfo", _path(1)):
            small_is_in.set()

    outcome, told = _run(_plan({0: [], 1: [], 2: [0]}), _Transfer(fail), at_once=2)
    assert outcome == Outcome()
    assert told == [_path(1), _path(0), _path(2)]


def test_what_the_queue_cannot_write_down_ends_the_round() -> None:
    """A full disk: no narinfo may follow one that is not written down."""
    transfer = _Transfer()

    def full(_: dict[StorePath, Staged]) -> None:
        raise OSError(28, "No space left on device")

    plan = _plan({0: [], 1: [0], 2: [1]})
    with pytest.raises(OSError, match="No space"):
        UploadRound(
            plan,
            transfer=transfer,
            content_addresses={path: f"ca of {path.base_name}" for path in plan.missing},
            at_once=1,
            build_logs=False,
            submitted=full,
            beat=lambda: None,
        ).run()
    assert transfer.of("narinfo") == [_path(0)]
