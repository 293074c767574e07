"""The uploader a step at a time: what it remembers, how long it waits, whom it believes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from hook import gc_roots
from hook.backoff import PATIENCE
from hook.errors import BuilderCode, Cause, Trouble
from hook.lookup import NarInfoLookup
from hook.nix_store import NixStore, PathInfo
from hook.queue.entry import Entry, Progress, Queued, Submitted
from hook.queue.queue import Queue
from hook.report import Report
from hook.transfer.budget import Budget
from hook.transfer.packing import Packing
from hook.transfer.staging import Staging
from hook.transfer.transfer import Transfer
from hook.uploader import CLEAR_UP_SECONDS, Ports, Uploader
from hook.verdict_watch import LONGEST_REST, LOST_SECONDS, MOST_BETWEEN, SUPERSEDED_SECONDS
from hook.verdicts import Ledger
from hook.wording import NAMED_AT_MOST
from nixcache.compression import Compression
from nixcache.errors import PermanentError, TransientError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.store_path import StorePath
from nixcache.verify import verify
from protocol.keys import ResultKey
from protocol.verdicts import AwaitingQuorum, Duplicate, PublicationWarning, Published, Rejected, Verdict, Waiting
from tests.hook.builder import Builder
from tests.hook.nix import Nix, derivation
from tests.hook.service import BUILDER, Service

_REJECTED = Rejected("ca-mismatch", "Wrong.", "", "CA", None)


@pytest.fixture
def queue(builder: Builder) -> Iterator[Queue]:
    queue = Queue(builder.state_dir, builder.nix.store_dir, report=Report())
    with queue.owned():
        yield queue


@pytest.fixture
def lookup(service: Service, nix: Nix) -> Iterator[NarInfoLookup]:
    with NarInfoLookup(service.cache_url, (), nix.store_dir) as lookup:
        yield lookup


@pytest.fixture
def uploader(queue: Queue, service: Service, lookup: NarInfoLookup) -> Uploader:
    return _uploader(queue, service, lookup, service.staging)


def _uploader(
    queue: Queue,
    service: Service,
    lookup: NarInfoLookup,
    bucket: str,
    *,
    level: int = 3,
    now: Callable[[], float] = time.time,
) -> Uploader:
    nix_store, report, stop = NixStore(queue.store_dir), Report(), Event()
    ports = Ports(
        queue=queue,
        nix_store=nix_store,
        lookup=lookup,
        transfer=Transfer(
            nix_store=nix_store,
            staging=Staging(service.s3, bucket),
            builder=BUILDER,
            compression=Packing(Compression.ZSTD, level),
            multiparts=queue.multiparts,
            budget=Budget(),
            stop=stop,
            sent=report.sent,
        ),
        ledger=Ledger(service.s3, service.ledger, BUILDER),
    )
    return Uploader(ports, report=report, stop=stop, now=now)


def _progress(queue: Queue, path: StorePath) -> Progress:
    entry = queue.get(path)
    assert entry
    return entry.progress


def _poll(uploader: Uploader) -> TransientError | None:
    """Poll as if long had passed since the last time: how long a slow machine takes must not decide."""
    uploader._watch._asked_at = {entry.path: float("-inf") for entry in uploader._queue.submitted(100)}
    return uploader.poll()


def _submitted(queue: Queue, path: StorePath, *, seconds_ago: float = 0) -> None:
    now = datetime.now(UTC)
    progress = Submitted(
        version_id="ours", staged_at=now - timedelta(seconds=seconds_ago), since=time.time() - seconds_ago, uploads=1
    )
    queue.save(Entry(path, 0.0, progress))


def test_trouble_postpones_ever_longer_with_jitter_and_never_for_ever(
    queue: Queue, service: Service, lookup: NarInfoLookup, nix: Nix
) -> None:
    path = nix.add("file", b"data")
    now = 1_000_000.0
    uploader = _uploader(queue, service, lookup, "no-such-bucket", now=lambda: now)
    queue.save(Entry(path, 0.0, Queued()))
    delays = []
    for tries in range(1, 10):
        assert isinstance(uploader.upload_due(), TransientError)
        progress = _progress(queue, path)
        assert isinstance(progress, Queued)
        assert (progress.tries, progress.cause) == (tries, Cause.SERVICE)
        delays.append(progress.next_attempt_at - now)
        assert uploader.upload_due() is None, "not before its time"
        now = progress.next_attempt_at
    first, most = PATIENCE[Cause.SERVICE]
    assert first / 2 <= delays[0] <= first
    assert all(most / 2 <= delay <= most for delay in delays[-4:])
    assert len(set(delays[-4:])) == 4, "not in step"


def test_what_is_postponed_is_left_alone_until_it_is_due(queue: Queue, uploader: Uploader, nix: Nix) -> None:
    early, late, from_the_future = nix.add("early", b"1"), nix.add("late", b"2"), nix.add("future", b"3")
    queue.save(Entry(early, 0.0, Queued(tries=1, next_attempt_at=time.time() - 1, problem="x")))
    queue.save(Entry(late, 0.0, Queued(tries=1, next_attempt_at=time.time() + 60, problem="x")))
    # Postponed by an hour: nothing is, so the clock was an hour fast then.
    queue.save(Entry(from_the_future, 0.0, Queued(tries=1, next_attempt_at=time.time() + 3600, problem="x")))
    assert uploader.upload_due() is None
    assert isinstance(_progress(queue, early), Submitted)
    assert isinstance(_progress(queue, from_the_future), Submitted)
    assert isinstance(_progress(queue, late), Queued)


def test_verdicts_are_asked_for_often_at_first_and_rarely_later(
    queue: Queue, service: Service, lookup: NarInfoLookup, nix: Nix
) -> None:
    path = nix.add("file", b"data")
    asked_at: list[float] = []
    now = 1_000_000.0
    queue.save(Entry(path, now, Submitted(version_id="ours", staged_at=datetime.now(UTC), since=now, uploads=1)))
    uploader = _uploader(queue, service, lookup, service.staging, now=lambda: now)
    service.s3.meta.events.register("before-parameter-build.s3.GetObject", lambda **_: asked_at.append(now - 1_000_000))
    for second in range(0, 3600, 1):
        now = 1_000_000.0 + second
        assert uploader.poll() is None
    assert asked_at[:4] == [1, 2, 3, 4]
    assert sum(at <= 60 for at in asked_at) < 20
    assert asked_at[-1] - asked_at[-2] == MOST_BETWEEN
    now -= 1000  # the clock was set back
    asked = len(asked_at)
    assert uploader.poll() is None
    assert len(asked_at) == asked + 1


@pytest.mark.parametrize("verdict", [Published(("k",)), _REJECTED])
def test_where_another_machine_of_this_builder_overwrote_our_verdict_the_path_starts_anew(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix, verdict: Verdict
) -> None:
    """Then it is found in the cache, or gets a verdict of its own; without this it would wait for ever."""
    path = nix.add("file", b"data")
    _submitted(queue, path, seconds_ago=SUPERSEDED_SECONDS + 1)
    service.tell(path, verdict, version_id="theirs")
    assert uploader.poll() is None
    assert _progress(queue, path) == Queued()


def test_what_was_published_with_a_warning_says_so_in_one_line(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix, capfd: pytest.CaptureFixture[str]
) -> None:
    path = nix.add("image", b"data")
    _submitted(queue, path)
    mentioned = tuple(StorePath(path.hash_part, f"mentioned-{number}") for number in range(NAMED_AT_MOST + 1))
    warning = PublicationWarning("reference-undeclared", "Undeclared: 4.", mentioned)
    service.tell(path, Published(("k",), (warning,)), version_id="ours")
    assert _poll(uploader) is None
    assert queue.get(path) is None, "it is published all the same"
    out, err = capfd.readouterr()
    assert out == f"published {path.base_name}\n"
    assert err.startswith(f"assay: warning {path.base_name} (reference-undeclared): Undeclared: 4. ")
    assert err.count("\n") == 1
    assert [other.base_name in err for other in mentioned] == [True] * NAMED_AT_MOST + [False]


def test_a_quorum_is_awaited_and_each_vote_is_told_once(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix, capfd: pytest.CaptureFixture[str]
) -> None:
    path = nix.add("voted", b"data")
    _submitted(queue, path)
    told = []
    for have in (1, 1, 2):
        service.tell(path, AwaitingQuorum(have, 3), version_id="ours")
        assert _poll(uploader) is None
        told.append(capfd.readouterr().out)
    assert told == [
        f"awaiting a quorum {path.base_name}: 1 of 3 builders agree\n",
        "",
        f"awaiting a quorum {path.base_name}: 2 of 3 builders agree\n",
    ]
    service.tell(path, Duplicate(), version_id="ours")
    _poll(uploader)
    assert capfd.readouterr() == (f"duplicate {path.base_name}\n", "")
    assert queue.get(path) is None


def test_who_waited_for_a_reference_and_now_for_a_quorum_waits_for_one_of_them_alone(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix
) -> None:
    path, low = nix.add("voted", b"data"), nix.add("low", b"low")
    _submitted(queue, path)
    waiting, voting = Waiting((low,)), AwaitingQuorum(1, 2)
    for verdict in (waiting, voting, waiting):
        service.tell(path, verdict, version_id="ours")
        _poll(uploader)
        progress = _progress(queue, path)
        assert isinstance(progress, Submitted)
        assert (progress.waits_for, progress.quorum) == (((low,), None) if verdict is waiting else ((), voting))


def test_a_duplicate_of_an_upstream_says_of_which(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix, capfd: pytest.CaptureFixture[str]
) -> None:
    path = nix.add("hello", b"data")
    _submitted(queue, path)
    service.tell(path, Duplicate("https://cache.nixos.org"), version_id="ours")
    _poll(uploader)
    assert capfd.readouterr() == (f"duplicate {path.base_name}: https://cache.nixos.org has it\n", "")
    assert queue.get(path) is None


@pytest.mark.parametrize("verdict", [Published(("k",)), Duplicate()], ids=["published", "duplicate"])
def test_what_others_dispute_is_published_and_its_operator_is_warned_in_one_line(
    queue: Queue,
    service: Service,
    uploader: Uploader,
    nix: Nix,
    capfd: pytest.CaptureFixture[str],
    verdict: Verdict,
) -> None:
    path = nix.add("clock", b"data")
    _submitted(queue, path)
    hashes = tuple(Hash(HashAlgorithm.SHA256, bytes([number]) * 32) for number in range(NAMED_AT_MOST + 1))
    service.tell(path, verdict, version_id="ours", disputed_by=hashes)
    assert _poll(uploader) is None
    assert queue.get(path) is None, "it is published all the same"
    out, err = capfd.readouterr()
    assert out == f"{verdict.kind} {path.base_name}\n"
    shown = ", ".join(map(str, hashes[:NAMED_AT_MOST]))
    assert err == (
        f"assay: warning {path.base_name}: another builder submitted other contents: NarHash {shown};"
        " the build may not be reproducible. What is published stays; compare the two builds.\n"
    )


def test_another_version_s_verdict_counts_for_nothing_while_ours_may_still_come(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix
) -> None:
    young, older, waiting, voting = (nix.add(name, name.encode()) for name in ("young", "older", "waiting", "voting"))
    _submitted(queue, young, seconds_ago=SUPERSEDED_SECONDS - 30)
    service.tell(young, _REJECTED, version_id="theirs")
    service.tell(older, _REJECTED, version_id="last week's")
    queue.save(
        Entry(
            older,
            0.0,
            Submitted(
                version_id="ours",
                staged_at=datetime.now(UTC) + timedelta(seconds=5),
                since=time.time() - 2 * SUPERSEDED_SECONDS,
                uploads=1,
            ),
        )
    )
    _submitted(queue, waiting, seconds_ago=2 * SUPERSEDED_SECONDS)
    service.tell(waiting, Waiting((young,)), version_id="theirs")
    _submitted(queue, voting, seconds_ago=2 * SUPERSEDED_SECONDS)
    service.tell(voting, AwaitingQuorum(1, 2), version_id="theirs")
    _poll(uploader)
    assert all(isinstance(_progress(queue, path), Submitted) for path in (young, older, waiting, voting))


def test_i6_a_submission_that_was_lost_is_made_anew_ever_more_rarely(
    queue: Queue, service: Service, lookup: NarInfoLookup, nix: Nix, capfd: pytest.CaptureFixture[str]
) -> None:
    """S3 said that it has it, or its event never arrived: nobody else would notice."""
    path = nix.add("file", b"data")
    now = start = time.time()
    uploader = _uploader(queue, service, lookup, service.staging, now=lambda: now)
    queue.save(Entry(path, 0.0, Queued()))
    assert uploader.upload_due() is None
    for uploads, wait in enumerate((LOST_SECONDS, 2 * LOST_SECONDS, 4 * LOST_SECONDS), start=1):
        now = start + wait - 1
        _poll(uploader)
        progress = _progress(queue, path)
        assert isinstance(progress, Submitted)
        assert progress.uploads == uploads
        now = start + wait + 1
        _poll(uploader)
        assert _progress(queue, path) == Queued(uploads=uploads)
        assert "got no verdict" in capfd.readouterr().err
        start = now
        assert uploader.upload_due() is None
    service.tell(path, Published(("k",)))
    _poll(uploader)
    assert queue.get(path) is None


def test_i6_an_older_verdict_does_not_hide_that_a_submission_was_lost(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix
) -> None:
    path = nix.add("file", b"data")
    service.tell(path, _REJECTED, version_id="last week's")
    staged_at = datetime.now(UTC) + timedelta(seconds=5)
    since = time.time() - LOST_SECONDS - 1
    queue.save(Entry(path, 0.0, Submitted(version_id="ours", staged_at=staged_at, since=since, uploads=1)))
    _poll(uploader)
    assert _progress(queue, path) == Queued(uploads=1)


def test_i4_what_was_remembered_as_published_and_is_not_is_uploaded_though_nix_fails_at_first(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator deleted it from the cache; without this, what needs it would wait for ever."""
    low = derivation("low", "echo low > $out")
    (top,) = nix.build(f"let low = {low}; in {derivation('top', 'echo ${low} > $out')}")
    (dependency,) = nix.closure(top) - {top}
    queue.remember_present([dependency], time.time() + 3600)
    queue.save(Entry(top, 0.0, Queued()))
    assert uploader.upload_due() is None
    assert queue.get(dependency) is None, "it was believed to be published"
    service.tell(top, Waiting((dependency,)))
    infos = uploader._nix_store.infos
    troubles = iter([PermanentError(BuilderCode.NIX_FAILED, "Killed.")])

    def failing_once(paths: Iterable[StorePath]) -> dict[StorePath, PathInfo]:
        for trouble in troubles:
            raise trouble
        return infos(paths)

    monkeypatch.setattr(uploader._nix_store, "infos", failing_once)
    assert "Killed" in str(_poll(uploader))
    uploader._watch._rests_until = float("-inf")
    assert _poll(uploader) is None
    assert isinstance(_progress(queue, dependency), Queued)
    assert gc_roots.is_rooted(queue.state_dir, dependency.base_name)


def test_i9_an_upload_that_cannot_be_aborted_keeps_nothing_back_and_is_no_busy_loop(
    queue: Queue, service: Service, lookup: NarInfoLookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    uploader = _uploader(queue, service, lookup, service.staging, now=lambda: now)
    tries: list[float] = []

    def denied() -> None:
        tries.append(now)
        raise Trouble(Cause.SERVICE, "AccessDenied.")

    monkeypatch.setattr(uploader._ports.transfer, "clear_up", denied)
    for _ in range(10):
        assert uploader.upload_due() is None
        now += CLEAR_UP_SECONDS / 4
    assert len(tries) == 3


def test_a_ledger_that_does_not_answer_is_asked_once_and_then_left_alone_for_a_while(
    queue: Queue, service: Service, lookup: NarInfoLookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    uploader = _uploader(queue, service, lookup, service.staging, now=lambda: now)
    for number in range(50):
        path = StorePath.from_base_name(f"{number:032d}-x")
        progress = Submitted(version_id="ours", staged_at=datetime.now(UTC), since=now - 60, uploads=1)
        queue.save(Entry(path, 0.0, progress))
    asked: list[object] = []

    def silent(hash_part: object) -> None:
        asked.append(hash_part)
        raise Trouble(Cause.NETWORK, "No answer.")

    monkeypatch.setattr(uploader._ports.ledger, "result", silent)
    assert "No answer" in str(uploader.poll())
    assert 1 <= len(asked) < 50, "the others would meet the same"
    before = len(asked)
    assert "No answer" in str(uploader.poll())
    assert len(asked) == before
    now += LONGEST_REST
    uploader.poll()
    assert len(asked) > before


def test_a_result_that_cannot_be_read_is_trouble_and_changes_nothing(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix
) -> None:
    path = nix.add("file", b"data")
    _submitted(queue, path)
    service.s3.put_object(Bucket=service.ledger, Key=str(ResultKey(BUILDER, path.hash_part)), Body=b"<html>")
    trouble = _poll(uploader)
    assert trouble
    assert "result document" in str(trouble)
    assert isinstance(_progress(queue, path), Submitted)


def test_two_paths_with_equal_contents_share_a_nar_and_both_hold(
    queue: Queue, service: Service, lookup: NarInfoLookup, nix: Nix
) -> None:
    """The second overwrites the first one's NAR with other bytes (another level): neither may be refused for it."""
    paths = nix.build(f"[ {derivation('a', 'echo same > $out')} {derivation('b', 'echo same > $out')} ]")
    for level, path in zip((1, 19), paths, strict=True):
        uploader = _uploader(queue, service, lookup, service.staging, level=level)
        queue.save(Entry(path, 0.0, Queued()))
        uploader.upload_due()
    submissions = [service.submission(path, nix.store_dir) for path in paths]
    assert len({narinfo.url for narinfo, _ in submissions}) == 1
    for narinfo, nar in submissions:
        verify(narinfo, [nar])


def test_a_dependency_gets_an_entry_of_its_own_once_it_is_submitted(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix
) -> None:
    low = derivation("low", "echo low > $out")
    (top,) = nix.build(f"let low = {low}; in {derivation('top', 'echo ${low} > $out')}")
    queue.save(Entry(top, 0.0, Queued()))
    uploader.upload_due()
    closure = nix.closure(top)
    assert queue.get_many(closure).keys() == closure
    (dependency,) = closure - {top}
    queue.save(Entry(top, 0.0, Queued()))
    before = len(service.staged())
    uploader.upload_due()
    assert len(service.staged()) == before + 2, f"{dependency.base_name} is on its way and not uploaded again"


def test_i9_a_dump_that_fails_keeps_its_path_queued_and_rooted_and_holds_up_no_other(
    queue: Queue, uploader: Uploader, nix: Nix
) -> None:
    """Killed for its memory, a Nix that is being upgraded, a bad sector; here a socket, which has no NAR."""
    low = derivation("low", "echo low > $out")
    bad, top = nix.build(f"let low = {low}; in [ low {derivation('top', 'echo ${low} > $out')} ]")
    chain = derivation("n0", "echo 0 > $out")
    for number in range(1, 5):
        chain = derivation(f"n{number}", f"echo ${{{chain}}} > $out")
    others = nix.closure(*nix.build(chain))
    for path in (bad, top, *others):
        queue.root(path)
        queue.save(Entry(path, 0.0, Queued()))
    file = Path(nix.full(bad))
    file.unlink()
    os.mknod(file, 0o140644)
    trouble = uploader.upload_due()
    assert isinstance(trouble, TransientError)
    assert "neither a regular file, a directory nor a symlink" in trouble.problem
    for path in (bad, top):
        progress = _progress(queue, path)
        assert isinstance(progress, Queued)
        assert progress.tries == 1
        assert gc_roots.is_rooted(queue.state_dir, path.base_name)
    assert all(isinstance(_progress(queue, path), Submitted) for path in others)


def test_i9_a_dependency_is_rooted_until_its_own_verdict_whatever_becomes_of_what_needs_it(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix
) -> None:
    low = derivation("low", "echo low > $out")
    (top,) = nix.build(f"let low = {low}; in {derivation('top', 'echo ${low} > $out')}")
    (dependency,) = nix.closure(top) - {top}
    queue.root(top)
    queue.save(Entry(top, 0.0, Queued()))
    uploader.upload_due()
    service.tell(top, _REJECTED)
    _poll(uploader)
    nix.collect_garbage()
    assert (nix.has(top), nix.has(dependency)) == (False, True)
    service.tell(dependency, Published(("k",)))
    _poll(uploader)
    assert gc_roots.rooted(queue.state_dir) == {}


def test_i9_what_starts_anew_is_rooted(queue: Queue, service: Service, uploader: Uploader, nix: Nix) -> None:
    path = nix.add("file", b"data")
    _submitted(queue, path)
    service.tell(path, Rejected("nar-missing", "It is gone.", "", None, None), version_id="ours")
    _poll(uploader)
    assert isinstance(_progress(queue, path), Queued)
    assert gc_roots.is_rooted(queue.state_dir, path.base_name)


def test_trouble_in_the_middle_keeps_what_was_done_and_the_rest_queued(
    queue: Queue, service: Service, uploader: Uploader, nix: Nix
) -> None:
    low = derivation("low", "echo low > $out")
    paths = nix.build(f"let low = {low}; in [ low {derivation('top', 'echo ${low} > $out')} ]")
    for path in paths:
        queue.save(Entry(path, 0.0, Queued()))

    def after_the_first_narinfo(params: dict[str, str], **_: object) -> None:
        if params["Key"].endswith(".narinfo"):
            params["Bucket"] = "no-such-bucket" if service.staged() and _narinfos(service) else params["Bucket"]

    service.s3.meta.events.register("provide-client-params.s3.PutObject", after_the_first_narinfo)
    assert isinstance(uploader.upload_due(), TransientError)
    low_path, top_path = paths
    assert isinstance(_progress(queue, low_path), Submitted)
    assert isinstance(_progress(queue, top_path), Queued)


def _narinfos(service: Service) -> list[str]:
    return [key for key in service.staged() if key.endswith(".narinfo")]
