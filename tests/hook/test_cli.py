"""The command line from build to verdict: what it does, what it says, and how it exits."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hook import gc_roots, post_build
from hook.errors import BuilderCode
from hook.exit_code import ExitCode
from hook.nix_store import NixStore
from hook.post_build import SPOOL_NEW, gc_roots_dir
from hook.queue.entry import Queued, Refused, Submitted
from hook.queue.intake import ASKED_AT_ONCE
from nixcache import nix32
from nixcache.errors import PermanentError
from nixcache.hashes import Hash
from nixcache.narinfo import NarInfo
from nixcache.store_path import StorePath
from nixcache.verify import verify
from protocol.verdicts import AwaitingQuorum, Conflict, Duplicate, Published, Rejected, Verdict, Waiting
from protocol.version import VERSION
from tests.hook.builder import Builder, Ended
from tests.hook.nix import derivation
from tests.hook.service import Service, publish

_ROOT = Path(__file__).parents[2]
_LIMITED = ("--timeout", "60")
_AT_ONCE = ("--timeout", "0")
_CONTRADICTIONS = [
    ["wait"],
    ["wait", "--all", "x"],
    ["wait", "--all", "--timeout", "nan"],
    ["forget"],
    ["forget", "--rejected", "x"],
    ["completion", "csh"],
]
_GRAPH = f"""
let low = {derivation("low", "echo low > $out")};
    middle = {derivation("middle", "echo ${low} > $out; echo $out > $dev", outputs="out dev")};
    top = {derivation("top", "echo ${middle} ${middle.dev} > $out")};
in [ low middle middle.dev top ]"""


def _is_one_line(said: str) -> bool:
    return said.startswith("assay: ") and said.count("\n") == 1


def _rejected(problem: str = "Wrong.") -> Rejected:
    return Rejected("nar-hash-mismatch", problem, "Build it again.", "NarHash", None)


@pytest.fixture
def asking_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for a verdict as soon as there can be one, so that no test depends on how much time has passed."""
    monkeypatch.setattr("hook.verdict_watch.FIRST_ASKED", 0.0)


@pytest.mark.usefixtures("judging")
def test_from_a_build_to_a_published_closure(builder: Builder, service: Service) -> None:
    nix = builder.nix
    built = nix.build(_GRAPH, hook=builder.install_hook())
    ended = builder.assay("upload", "--once", *_LIMITED)
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    for path in built:
        assert f"published {path.base_name}" in ended.out
        narinfo, nar = service.submission(path, nix.store_dir)
        verify(narinfo, [nar])
    submitted = [line.split()[1] for line in ended.out.splitlines() if line.startswith("submitted ")]
    assert submitted == [path.base_name for path in built], "references first"
    assert builder.entries() == {}
    assert gc_roots.rooted(builder.state_dir) == {}
    nix.collect_garbage()
    assert not any(nix.has(path) for path in built)


@pytest.mark.usefixtures("judging")
def test_only_the_root_is_queued_and_its_whole_closure_goes(builder: Builder, service: Service) -> None:
    """Builds from before the hook was set up leave no gap in the cache."""
    low, middle, dev, top = builder.nix.build(_GRAPH)
    service.put_into_cache(middle, builder.nix.store_dir)
    ended = builder.assay("push", builder.nix.full(top), *_LIMITED)
    assert ended.code == ExitCode.DONE
    assert sorted(service.judged) == sorted([dev, top]), "what the cache has is left out, and so is what lies below it"
    assert low.base_name not in ended.out


@pytest.mark.usefixtures("judging")
def test_an_upstream_s_paths_are_not_uploaded(builder: Builder, service: Service) -> None:
    low, middle, dev, top = builder.nix.build(_GRAPH)
    service.put_into_cache(low, builder.nix.store_dir)
    # The upstream has what our cache lacks.
    builder.configure(ASSAY_UPSTREAMS=service.cache_url, ASSAY_CACHE_URL=f"{service.cache_url}/empty")
    assert builder.assay("push", builder.nix.full(top), *_LIMITED).code == ExitCode.DONE
    assert sorted(service.judged) == sorted([middle, dev, top])


def test_a_path_that_is_published_already_is_done_at_once(builder: Builder, service: Service) -> None:
    path = builder.nix.add("file", b"data")
    service.put_into_cache(path, builder.nix.store_dir)
    ended = builder.assay("push", builder.nix.full(path), *_AT_ONCE)
    assert (ended.code, ended.out) == (ExitCode.DONE, f"already published {path.base_name}\n")
    assert service.staged() == []
    assert gc_roots.rooted(builder.state_dir) == {}


def test_push_takes_symlinks_and_paths_inside_a_store_path(builder: Builder, service: Service, tmp_path: Path) -> None:
    path = builder.nix.add("file", b"data")
    service.put_into_cache(path, builder.nix.store_dir)
    link = tmp_path / "result"
    link.symlink_to(builder.nix.full(path))
    for text in (str(link), f"{builder.nix.full(path)}/bin/x"):
        assert f"already published {path.base_name}" in builder.assay("push", text, *_AT_ONCE).out


@pytest.mark.parametrize(
    "verdict",
    [
        _rejected(),
        Conflict(Hash.parse(f"sha256:{'0' * 64}"), Hash.parse(f"sha256:{'1' * 64}")),
    ],
    ids=["rejected", "conflict"],
)
def test_a_refusal_is_told_with_its_reason_kept_and_not_tried_again(
    builder: Builder, service: Service, verdict: Verdict
) -> None:
    path = builder.nix.add("file", b"data")
    with service.judging(builder.nix.store_dir, lambda _: verdict):
        ended = builder.assay("push", builder.nix.full(path), *_LIMITED)
    assert ended.code == ExitCode.REFUSED
    assert _is_one_line(ended.err)
    assert f"rejected {path.base_name}: " in ended.err
    assert isinstance(builder.entries()[path].progress, Refused)
    assert gc_roots.rooted(builder.state_dir) == {}
    staged = service.staged()
    assert builder.assay("upload", "--once", *_AT_ONCE).code == ExitCode.DONE, "nothing is left to do in this run"
    assert service.staged() == staged
    status = builder.assay("status").out
    assert status.startswith("1 rejected\n")
    assert path.base_name in status
    reason = "nar-hash-mismatch (NarHash): Wrong." if isinstance(verdict, Rejected) else "conflict: "
    assert reason in ended.err
    assert reason in status


def test_pushing_a_rejected_path_tries_it_again(builder: Builder, service: Service) -> None:
    path = builder.nix.add("file", b"data")
    with service.judging(builder.nix.store_dir, lambda _: _rejected()):
        ended = builder.assay("push", builder.nix.full(path), *_LIMITED)
    assert ended.code == ExitCode.REFUSED
    with service.judging(builder.nix.store_dir):
        ended = builder.assay("push", builder.nix.full(path), *_LIMITED)
    assert ended.code == ExitCode.DONE
    assert builder.entries() == {}


def test_a_duplicate_is_as_good_as_published(builder: Builder, service: Service) -> None:
    path = builder.nix.add("file", b"data")
    with service.judging(builder.nix.store_dir, lambda _: Duplicate()):
        ended = builder.assay("push", builder.nix.full(path), *_LIMITED)
    assert ended.code == ExitCode.DONE
    assert f"duplicate {path.base_name}" in ended.out


def test_a_verdict_on_another_submission_is_not_ours(builder: Builder, service: Service) -> None:
    """A result from last week, of a version that was rejected then."""
    path = builder.nix.add("file", b"data")
    service.tell(path, _rejected(), version_id="last-week")
    ended = builder.assay("push", builder.nix.full(path), *_AT_ONCE)
    assert ended.code == ExitCode.TIMED_OUT
    progress = builder.entries()[path].progress
    assert isinstance(progress, Submitted)
    assert progress.version_id != "last-week"


def test_no_verdict_in_time_keeps_everything_and_the_next_run_gets_it_without_uploading(
    builder: Builder, service: Service
) -> None:
    built = builder.nix.build(_GRAPH, hook=builder.install_hook())
    ended = builder.assay("upload", "--once", *_AT_ONCE)
    assert ended.code == ExitCode.TIMED_OUT
    assert _is_one_line(ended.err)
    assert set(builder.entries()) == set(built)
    assert len(gc_roots.rooted(builder.state_dir)) == len(built)
    staged = service.staged()
    for path in built:
        service.tell(path, Published(("test-1",)))
    assert builder.assay("upload", "--once", *_LIMITED).code == ExitCode.DONE
    assert service.staged() == staged


@pytest.mark.usefixtures("asking_at_once")
def test_who_awaits_a_quorum_in_vain_is_told_what_is_missing_and_not_that_the_service_is_down(
    builder: Builder, service: Service
) -> None:
    voted, other = builder.nix.add("voted", b"data"), builder.nix.add("other", b"data")
    builder.assay("push", builder.nix.full(voted), builder.nix.full(other), *_AT_ONCE)
    service.tell(voted, AwaitingQuorum(1, 2))
    service.tell(other, Published(("test-1",)))
    ended = builder.assay("upload", "--once", *_AT_ONCE)
    assert ended.code == ExitCode.TIMED_OUT
    assert f"awaiting a quorum {voted.base_name}: 1 of 2 builders agree" in ended.out
    assert _is_one_line(ended.err)
    assert "1 of the paths await a quorum: have another builder build them" in ended.err
    assert "awaits a quorum: 1 of 2 builders agree" in builder.assay("status").out
    [entry] = json.loads(builder.assay("status", "--json").out)["entries"]
    assert entry["quorum"] == {"have": 1, "need": 2}
    service.tell(voted, Published(("test-1",)))
    assert builder.assay("upload", "--once", *_LIMITED).code == ExitCode.DONE


def test_what_waits_for_a_rejected_path_is_not_waited_for(builder: Builder, service: Service) -> None:
    low, middle, dev, top = builder.nix.build(_GRAPH)

    def judge(narinfo: NarInfo) -> Verdict:
        missing = tuple(path for path in narinfo.references if path != narinfo.store_path)
        return Waiting(missing) if missing else _rejected()

    with service.judging(builder.nix.store_dir, judge):
        ended = builder.assay("push", builder.nix.full(top), *_LIMITED)
    assert ended.code == ExitCode.REFUSED
    entries = builder.entries()
    assert isinstance(entries[low].progress, Refused)
    waiting = entries[top].progress
    assert isinstance(waiting, Submitted)
    assert set(waiting.waits_for) == {middle, dev}
    assert f"waits for {low.base_name} (which was rejected)" in builder.assay("status").out
    # The operator mends it; the service then wakes those that waited, and so their verdicts are still asked for.
    for path in (middle, dev, top):
        service.tell(path, Published(("test-1",)))
    assert builder.assay("upload", "--once", *_LIMITED).code == ExitCode.DONE
    assert set(builder.entries()) == {low}


@pytest.mark.parametrize("code", ["nar-missing", "narinfo-missing"])
def test_a_submission_that_staging_lost_is_uploaded_again(builder: Builder, service: Service, code: str) -> None:
    """Its lifecycle rule took it while it waited."""
    path = builder.nix.add("file", b"data")

    def judge(_: NarInfo) -> Verdict:
        submissions = [key for key in service.staged() if key.endswith(".narinfo")]
        if len(submissions) == 1:
            return Rejected(code, "It is gone.", "Upload it again.", None, None)
        return Published(("test-1",))

    with service.judging(builder.nix.store_dir, judge):
        ended = builder.assay("push", builder.nix.full(path), *_LIMITED)
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert ended.out.count("submitted ") == 2


def test_a_conflict_with_the_same_nar_says_what_differs(builder: Builder, service: Service) -> None:
    path = builder.nix.add("file", b"data")
    same = Hash.parse(f"sha256:{'0' * 64}")
    with service.judging(builder.nix.store_dir, lambda _: Conflict(same, same)):
        ended = builder.assay("push", builder.nix.full(path), *_LIMITED)
    assert "with other references or another content address" in ended.err


def test_a_submission_that_is_lost_every_time_is_given_up(builder: Builder, service: Service) -> None:
    path = builder.nix.add("file", b"data")
    lost = Rejected("nar-missing", "It is gone.", "Upload it again.", None, None)
    with service.judging(builder.nix.store_dir, lambda _: lost):
        ended = builder.assay("push", builder.nix.full(path), *_LIMITED)
    assert ended.code == ExitCode.REFUSED
    assert ended.out.count("submitted ") == 3


@pytest.fixture
def path(builder: Builder) -> StorePath:
    (path,) = builder.nix.build(derivation("x", "echo 1 > $out"), hook=builder.install_hook())
    return path


def _check_trouble(builder: Builder, path: StorePath, *said: str) -> Ended:
    """What stands in the way is one clear line, with exit 4, and everything is kept in the queue."""
    ended = builder.assay("upload", "--once", *_LIMITED)
    assert ended.code == ExitCode.TROUBLE
    assert _is_one_line(ended.err)
    for part in said:
        assert part in ended.err
    assert path in builder.entries()
    assert path.base_name in gc_roots.rooted(builder.state_dir)
    return ended


def test_trouble_missing_bucket(builder: Builder, path: StorePath) -> None:
    builder.configure(ASSAY_STAGING_BUCKET="no-such-bucket")
    _check_trouble(builder, path, "no-such-bucket", "NoSuchBucket", "Check the bucket's name")
    progress = builder.entries()[path].progress
    assert isinstance(progress, Queued)
    assert (progress.tries, "NoSuchBucket" in progress.problem) == (1, True)
    assert "NoSuchBucket" in builder.assay("status").out


def test_trouble_no_network(builder: Builder, path: StorePath) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        builder.configure(AWS_ENDPOINT_URL=f"http://127.0.0.1:{closed.getsockname()[1]}")
        _check_trouble(builder, path, "Could not connect", "Check the network")


def test_trouble_no_credentials(builder: Builder, path: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    _check_trouble(builder, path, "credentials", "Check the AWS credentials")


def test_trouble_no_cache(builder: Builder, path: StorePath) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        builder.configure(ASSAY_CACHE_URL=f"http://127.0.0.1:{closed.getsockname()[1]}")
        _check_trouble(builder, path, "cannot be reached", "cache_url")


def test_trouble_no_nix(builder: Builder, path: StorePath, tmp_path: Path) -> None:
    builder.configure(ASSAY_NIX_BIN_DIR=str(tmp_path))
    _check_trouble(builder, path, "nix-store cannot be started", "nix_bin_dir")


def test_trouble_a_staging_bucket_without_versions(builder: Builder, path: StorePath, service: Service) -> None:
    builder.configure(ASSAY_STAGING_BUCKET=service.ledger)
    _check_trouble(builder, path, "keeps no versions", "staging_bucket")


def test_trouble_a_profile_that_does_not_exist(builder: Builder, path: StorePath) -> None:
    builder.configure(AWS_PROFILE="nobody")
    _check_trouble(builder, path, "AWS cannot be set up", "nobody")


def test_trouble_a_state_directory_that_cannot_be_written(builder: Builder) -> None:
    builder.configure(ASSAY_STATE_DIR="/proc/assay")
    ended = builder.assay("upload", "--once", *_LIMITED)
    assert ended.code == ExitCode.TROUBLE
    assert _is_one_line(ended.err)
    assert "/proc/assay" in ended.err


def test_trouble_once_it_is_over_the_queue_goes_on(builder: Builder, path: StorePath, service: Service) -> None:
    builder.configure(ASSAY_STAGING_BUCKET="no-such-bucket")
    _check_trouble(builder, path)
    builder.configure(ASSAY_STAGING_BUCKET=service.staging)
    with service.judging(builder.nix.store_dir):
        assert builder.assay("upload", "--once", *_LIMITED).code == ExitCode.DONE
    assert builder.entries() == {}


@pytest.mark.usefixtures("asking_at_once")
def test_a_ledger_that_cannot_be_read_is_told_while_waiting(builder: Builder) -> None:
    path = builder.nix.add("file", b"data")
    builder.configure(ASSAY_LEDGER_BUCKET="no-such-ledger")
    ended = builder.assay("push", builder.nix.full(path), *_AT_ONCE)
    assert ended.code == ExitCode.TROUBLE
    assert ended.err.count("NoSuchBucket") == 1
    assert isinstance(builder.entries()[path].progress, Submitted)


def test_a_vanished_path_is_one_line_and_stops_nobody(builder: Builder, service: Service) -> None:
    gone, kept = builder.nix.build(
        f"[ {derivation('gone', 'echo 1 > $out')} {derivation('kept', 'echo 2 > $out')} ]", hook=builder.install_hook()
    )
    for root in Path(gc_roots_dir(str(builder.state_dir))).iterdir():
        if root.name == gone.base_name:
            root.unlink()
    builder.nix.collect_garbage()
    with service.judging(builder.nix.store_dir):
        ended = builder.assay("upload", "--once", *_LIMITED)
    assert ended.code == ExitCode.REFUSED
    assert _is_one_line(ended.err)
    assert f"{builder.nix.full(gone)} is not in the store (any more)" in ended.err
    assert service.judged == [kept]
    assert isinstance(builder.entries()[gone].progress, Refused)


def test_a_corrupt_path_is_one_line_and_what_needs_it_is_not_uploaded(builder: Builder, service: Service) -> None:
    low, middle, dev, top = builder.nix.build(_GRAPH, hook=builder.install_hook())
    file = Path(builder.nix.full(low))
    file.chmod(0o644)
    file.write_text("something else")
    ended = builder.assay("upload", "--once", *_LIMITED)
    assert ended.code == ExitCode.REFUSED
    assert f"rejected {low.base_name}: path-corrupt: " in ended.err
    assert f"it needs {low.base_name}, which cannot be uploaded" in ended.err
    assert not [key for key in service.staged() if key.endswith(".narinfo")]
    assert all(isinstance(builder.entries()[path].progress, Refused) for path in (low, middle, dev, top))


def test_a_page_that_answers_200_for_everything_empties_no_queue(
    builder: Builder, path: StorePath, service: Service
) -> None:
    """I9: a captive portal, a sign-in page, a CDN that answers errors with its index.html."""
    (service.cache / f"{path.hash_part}.narinfo").write_text("<!doctype html>\n")
    _check_trouble(builder, path, f"{path.hash_part}.narinfo answered 200, but not with a narinfo", "cache_url")


def test_once_exits_1_when_it_set_an_entry_aside_and_the_next_run_with_0(builder: Builder) -> None:
    (builder.state_dir / SPOOL_NEW).mkdir(parents=True)
    (builder.state_dir / SPOOL_NEW / "broken").write_text("x")
    ended = builder.assay("upload", "--once", *_AT_ONCE)
    assert ended.code == ExitCode.REFUSED
    assert _is_one_line(ended.err)
    assert builder.assay("upload", "--once", *_AT_ONCE).code == ExitCode.DONE


@pytest.mark.usefixtures("judging")
def test_once_does_not_wait_for_what_nix_cannot_name(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other paths are published, what is left is told and kept, and nobody waits out ``--timeout``."""
    monkeypatch.setattr("hook.daemon.LOOKS", 2)
    path = builder.nix.add("file", b"data")
    post_build.enqueue(str(builder.state_dir), [builder.nix.full(path)])
    lost = [f"{builder.nix.store_dir.path}/{digit * 32}-lost.drv" for digit in "01"]
    for drv_path in lost:
        post_build.enqueue(str(builder.state_dir), [], drv_path=drv_path)
    ended = builder.assay("upload", "--once", "--timeout", "100000")
    assert ended.code == ExitCode.REFUSED
    assert f"published {path.base_name}" in ended.out
    assert _is_one_line(ended.err)
    assert f"Nix names no output of {'0' * 32}-lost.drv; of 1 more hook run it is the same" in ended.err
    assert len(list((builder.state_dir / SPOOL_NEW).iterdir())) == 2


@pytest.mark.usefixtures("judging")
def test_what_is_pushed_is_uploaded_behind_much_that_nix_cannot_name(builder: Builder) -> None:
    """Not yet taken in is not done: the exit code said "published" of what nobody had uploaded."""
    path = builder.nix.add("file", b"data")
    for digit in nix32.ALPHABET[: ASKED_AT_ONCE + 1]:
        post_build.enqueue(str(builder.state_dir), [], drv_path=f"{builder.nix.store_dir.path}/{digit * 32}-lost.drv")
    ended = builder.assay("push", "--timeout", "100", builder.nix.full(path))
    assert (ended.code, f"published {path.base_name}" in ended.out) == (ExitCode.DONE, True)


@pytest.mark.usefixtures("judging")
def test_once_uploads_what_a_killed_hook_rooted_behind_many_that_were_not_killed(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I9: nothing is adopted while much is spooled, and a CI job has one run alone."""
    monkeypatch.setattr("hook.queue.queue._READ_AT_MOST", 1)
    orphan, *spooled = (builder.nix.add(name, name.encode()) for name in ("orphan", "one", "two"))
    post_build.add_gc_root(str(builder.state_dir), builder.nix.full(orphan))
    for path in spooled:
        post_build.enqueue(str(builder.state_dir), [builder.nix.full(path)])
    ended = builder.assay("upload", "--once", "--timeout", "100")
    assert (ended.code, f"published {orphan.base_name}" in ended.out) == (ExitCode.DONE, True)


@pytest.mark.usefixtures("judging")
def test_once_takes_what_nix_can_name_a_little_later(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    """I9: Nix 2.8 may register the outputs only after its hook."""
    path, asked = builder.nix.add("file", b"data"), 0

    def outputs(_: NixStore, drv_path: StorePath) -> list[StorePath]:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise PermanentError(BuilderCode.NIX_FAILED, f"{drv_path.base_name} is not there yet.", remedy="Wait.")
        return [path]

    monkeypatch.setattr(NixStore, "outputs", outputs)
    post_build.enqueue(str(builder.state_dir), [], drv_path=f"{builder.nix.full(path)}.drv")
    ended = builder.assay("upload", "--once", *_LIMITED)
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert f"published {path.base_name}" in ended.out


def test_once_queues_at_once_what_the_hook_rooted_and_could_not_queue(builder: Builder, service: Service) -> None:
    """I9: a CI job's disk was full in the hook a moment ago."""
    path = builder.nix.add("file", b"data")
    post_build.add_gc_root(str(builder.state_dir), builder.nix.full(path))
    with service.judging(builder.nix.store_dir):
        assert builder.assay("upload", "--once", *_LIMITED).code == ExitCode.DONE
    assert service.judged == [path]


def test_pushing_what_is_not_there_queues_nothing(builder: Builder) -> None:
    ended = builder.assay("push", f"{builder.nix.store_dir.path}/{'0' * 32}-none", *_AT_ONCE)
    assert ended.code == ExitCode.REFUSED
    assert _is_one_line(ended.err)
    assert builder.entries() == {}


@pytest.mark.parametrize("text", ["/etc/passwd", "{store}/short", "{store}", "."])
def test_pushing_what_is_no_store_path_is_wrong_usage(builder: Builder, text: str) -> None:
    ended = builder.assay("push", text.format(store=builder.nix.store_dir.path), *_AT_ONCE)
    assert ended.code == ExitCode.USAGE
    assert _is_one_line(ended.err)
    assert not (builder.state_dir / SPOOL_NEW).exists()


@pytest.mark.parametrize("command", ["push", "wait", "forget", "explain"])
def test_a_result_that_is_not_there_is_told_so(
    builder: Builder, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = builder.assay(command, "./result")
    assert ended.code == ExitCode.USAGE
    assert _is_one_line(ended.err)
    assert "./result is not there: no such file." in ended.err


@pytest.mark.parametrize("command", ["push", "wait"])
def test_a_path_may_be_named_by_its_base_name_or_hash_part(builder: Builder, service: Service, command: str) -> None:
    path = builder.nix.add("file", b"data")
    service.put_into_cache(path, builder.nix.store_dir)
    for text in (path.base_name, str(path.hash_part)):
        ended = builder.assay(command, text, *_AT_ONCE)
        assert ended.code == ExitCode.DONE, ended.err
        assert f"published {path.base_name}" in ended.out


def test_a_hash_part_of_nothing_here_is_to_be_named_in_full(builder: Builder) -> None:
    ended = builder.assay("push", "0" * 32, *_AT_ONCE)
    assert ended.code == ExitCode.USAGE
    assert _is_one_line(ended.err)
    assert "Name the whole path or base name." in ended.err


@pytest.mark.parametrize(
    "arguments", [[], ["unknown"], ["push"], ["upload", "--timeout", "soon"], ["status", "more"], *_CONTRADICTIONS]
)
def test_wrong_usage_exits_2(builder: Builder, arguments: list[str]) -> None:
    ended = builder.assay(*arguments)
    assert ended.code == ExitCode.USAGE
    assert "usage: assay" in ended.err


def test_wrong_configuration_exits_2_in_one_line(builder: Builder) -> None:
    builder.configure(ASSAY_BUILDER="Not A Builder")
    ended = builder.assay("upload", "--once")
    assert ended.code == ExitCode.USAGE
    assert _is_one_line(ended.err)
    assert "ASSAY_BUILDER" in ended.err


def test_help_names_every_command_key_and_exit_code(builder: Builder) -> None:
    ended = builder.assay("--help")
    assert ended.code == ExitCode.DONE
    words = [
        "hook-script",
        "upload",
        "daemon",
        "status",
        "push",
        "wait",
        "explain",
        "doctor",
        "forget",
        "completion",
        "builder",
        "staging_bucket",
        "ASSAY_CONFIG",
    ]
    assert [word for word in words if word not in ended.out] == []
    for code in ExitCode:
        assert f"  {code.value:<4} {code.meaning}" in ended.out


def test_exit_codes_are_stable() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "REFUSED": 1,
        "USAGE": 2,
        "TIMED_OUT": 3,
        "TROUBLE": 4,
        "INTERRUPTED": 130,
    }


def test_status_of_nothing(builder: Builder) -> None:
    ended = builder.assay("status")
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert ended.out.startswith("Nothing is queued.\nNo uploader works on it")


def test_status_as_json_holds_what_the_text_holds(builder: Builder) -> None:
    path = builder.nix.add("file", b"data")
    builder.assay("push", builder.nix.full(path), *_AT_ONCE)
    (builder.state_dir / SPOOL_NEW / "broken").write_text("x")
    (builder.state_dir / "hook.log").write_text("2026-01-01T00:00:00Z assay: no space\n")
    document = json.loads(builder.assay("status", "--json").out)
    (entry,) = document["entries"]
    assert (entry["storePath"], entry["state"], entry["uploads"]) == (builder.nix.full(path), "submitted", 1)
    assert document["hookProblems"] == ["2026-01-01T00:00:00Z assay: no space"]
    assert (document["schema"], document["spooled"], document["owner"]) == (1, 1, None)
    assert document["counts"] == {"queued": 0, "submitted": 1, "rejected": 0}
    assert (document["stateDir"], document["concluded"], document["setAside"]) == (str(builder.state_dir), [], [])
    text = builder.assay("status").out
    assert text.startswith("1 submitted, 1 hook run not taken in yet\nNo uploader works on it")
    assert "awaits its verdict" in text
    assert "no space" in text
    builder.assay("upload", "--once", *_AT_ONCE)
    assert "set aside: " in builder.assay("status").out
    assert len(json.loads(builder.assay("status", "--json").out)["setAside"]) == 1


def test_hook_script_prints_what_it_would_write(builder: Builder) -> None:
    script = builder.assay("hook-script").out
    assert script == builder.install_hook().read_text()
    assert os.access(builder.install_hook(), os.X_OK)


def test_hook_script_into_a_directory_that_is_not_there_says_so(builder: Builder, tmp_path: Path) -> None:
    ended = builder.assay("hook-script", "--output", str(tmp_path / "none" / "hook"))
    assert ended.code == ExitCode.USAGE
    assert _is_one_line(ended.err)
    assert f"there is no directory {tmp_path}/none" in ended.err
    assert "free space" not in ended.err


def test_version(builder: Builder) -> None:
    assert builder.assay("--version") == Ended(0, f"assay {VERSION}\n", "")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["status"], ["hook-script"], ["completion", "bash"], ["forget", "--rejected"]]
)
def test_what_needs_no_network_imports_no_boto3(builder: Builder, arguments: list[str]) -> None:
    program = f"import sys, hook.cli\ntry: hook.cli.main({arguments})\nfinally: assert 'boto3' not in sys.modules"
    ended = subprocess.run([sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert not builder.state_dir.exists(), "looking makes nothing"


@pytest.mark.parametrize("how", ["broken pipe", "closed", "full"])
@pytest.mark.usefixtures("builder")
def test_an_output_that_cannot_be_written_is_no_traceback(how: str) -> None:
    if how == "full" and not Path("/dev/full").exists():
        pytest.skip("only Linux has /dev/full")
    reading, writing = os.pipe()
    os.close(reading)
    redirection = {"broken pipe": "", "closed": ">&-", "full": ">/dev/full"}[how]
    try:
        ended = subprocess.run(
            ["/bin/sh", "-c", f'"$0" -m hook status --json {redirection}', sys.executable],
            cwd=_ROOT,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    if how == "full":
        assert ended.returncode == ExitCode.TROUBLE
        assert _is_one_line(ended.stderr)
    else:
        assert (ended.returncode, ended.stderr) == (ExitCode.DONE, "")


def test_an_ordinary_user_and_root_s_queue_is_one_line_that_says_what_to_do(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, whom no permission stops: the refusal is the operating system's, put in here."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(builder.state_dir / "queue.lock"))

    monkeypatch.setattr("hook.queue.view.QueueView.overview", refuse)
    ended = builder.assay("status")
    assert ended.code == ExitCode.TROUBLE
    assert _is_one_line(ended.err)
    assert "Run it as root" in ended.err
    assert "start the uploader" in ended.err


def test_what_a_hook_wrote_steers_no_terminal(builder: Builder) -> None:
    builder.state_dir.mkdir()
    (builder.state_dir / "hook.log").write_bytes(b"\x1b]0;mine\x07 \xff\n")
    assert "\x1b" not in builder.assay("status").out


@pytest.mark.parametrize("command", ["status", "wait", "forget"])
def test_a_state_directory_that_is_a_file_is_one_line(builder: Builder, command: str) -> None:
    builder.state_dir.write_text("")
    arguments = {"wait": ["--all", "--timeout", "0"], "forget": ["--rejected"]}.get(command, [])
    ended = builder.assay(command, *arguments)
    assert "Traceback" not in ended.err
    assert ended.code == ExitCode.TROUBLE
    assert _is_one_line(ended.err)


@pytest.mark.usefixtures("asking_at_once")
def test_forgetting_what_was_rejected(builder: Builder, service: Service) -> None:
    bad, good = builder.nix.add("bad", b"1"), builder.nix.add("good", b"2")
    builder.assay("push", builder.nix.full(bad), builder.nix.full(good), *_AT_ONCE)
    service.tell(bad, _rejected())
    builder.assay("upload", "--once", *_AT_ONCE)
    kept = builder.assay("forget", builder.nix.full(good))
    assert kept.code == ExitCode.REFUSED
    assert _is_one_line(kept.err)
    assert builder.assay("forget", "--rejected") == Ended(0, f"forgotten {bad.base_name}\n", "")
    assert builder.assay("forget", "--rejected") == Ended(0, "", "")
    assert set(builder.entries()) == {good}


def test_once_tells_a_refusal_of_this_run_from_one_of_before(builder: Builder, service: Service) -> None:
    """As many were refused before as are now: that is no reason for a green job."""
    first, second = builder.nix.add("first", b"1"), builder.nix.add("second", b"2")
    refused = Rejected("ca-mismatch", "Wrong.", "", "CA", None)
    with service.judging(builder.nix.store_dir, lambda _: refused):
        assert builder.assay("push", builder.nix.full(first), *_LIMITED).code == ExitCode.REFUSED
    assert builder.assay("upload", "--once", *_LIMITED).code == ExitCode.DONE, "nothing of this run"
    post_build.enqueue(str(builder.state_dir), [builder.nix.full(path) for path in (first, second)])
    with service.judging(
        builder.nix.store_dir, lambda narinfo: refused if narinfo.store_path == second else publish(narinfo)
    ):
        assert builder.assay("upload", "--once", *_LIMITED).code == ExitCode.REFUSED
