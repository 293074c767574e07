"""The uploader as a process: beside others, through trouble, to a clean end, and after being killed (I6)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from hook import gc_roots, post_build
from hook.backoff import PATIENCE, Patience
from hook.config import MIN_BYTES_PER_SECOND
from hook.errors import Cause
from hook.exit_code import ExitCode
from hook.queue import control
from hook.queue.entry import Queued, Submitted
from nixcache.store_path import StorePath
from tests.hook.builder import Builder, Ended
from tests.hook.nix import derivation
from tests.hook.service import Service

_PATIENCE = 90.0
# So that a test that stalls does not find the upload done that it wanted to disturb.
_SLOWLY, _AT_ONCE = str(MIN_BYTES_PER_SECOND), str(10**12)
_NOISE = derivation("noise", "/usr/bin/head -c 20000000 /dev/urandom > $out")


def _until(happened: Callable[[], object], *, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextmanager
def _daemon(builder: Builder) -> Iterator[None]:
    """The daemon beside the test; it must end by itself, quietly, when it is asked to."""
    process = builder.start("daemon")
    try:
        yield
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=_PATIENCE)[1]
        assert process.returncode == ExitCode.DONE
        assert "Traceback" not in said
    finally:
        process.kill()
        process.communicate()


def _daemon_here(builder: Builder, work: Callable[[], None]) -> Ended:
    """Let the daemon run in this process, with what a test has set in it, until ``work`` beside it is done."""

    def work_and_stop() -> None:
        try:
            # A signal to a process that does not listen for it yet would end the tests.
            _until(lambda: control.ask(builder.state_dir, ask="known", paths=[]), what="the daemon owns the queue")
            work()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work_and_stop)
        ended = builder.assay("daemon")
        working.result()
    return ended


@pytest.mark.usefixtures("judging")
def test_the_daemon_takes_what_hooks_queue_while_it_runs(builder: Builder, service: Service) -> None:
    hook = builder.install_hook()
    with _daemon(builder):
        for number in range(2):
            builder.nix.build(derivation(f"n{number}", "echo $out > $out"), hook=hook)
            _until(partial(_judged, service, number + 1), what="uploaded")
        _until(lambda: not builder.entries(), what="the verdicts are in")
    assert gc_roots.rooted(builder.state_dir) == {}


def test_the_daemon_outlives_trouble_and_goes_on_when_it_is_over(
    builder: Builder, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PATIENCE, Cause.SERVICE, Patience(0.1, 0.1))
    path = builder.nix.add("file", b"data")
    builder.assay("push", builder.nix.full(path), "--timeout", "0")
    builder.configure(ASSAY_STAGING_BUCKET=f"{service.staging}-later")
    (second,) = builder.nix.build(derivation("x", "echo 1 > $out"), hook=builder.install_hook())

    def postponed() -> bool:
        entry = builder.entries()[second]
        return isinstance(entry.progress, Queued) and "NoSuchBucket" in entry.progress.problem

    def mend() -> None:
        _until(postponed, what="the trouble is remembered")
        service.s3.create_bucket(Bucket=f"{service.staging}-later")
        service.s3.put_bucket_versioning(
            Bucket=f"{service.staging}-later", VersioningConfiguration={"Status": "Enabled"}
        )
        _until(lambda: isinstance(builder.entries()[second].progress, Submitted), what="it goes on by itself")

    assert _daemon_here(builder, mend).code == ExitCode.DONE


def test_i9_a_daemon_starts_on_a_broken_disk_and_works_once_it_is_mended(builder: Builder, service: Service) -> None:
    path = builder.nix.add("file", b"data")
    builder.state_dir.write_text("")
    process = builder.start("daemon")
    try:
        assert process.stderr
        assert "The queue cannot be read or written" in process.stderr.readline()
        builder.state_dir.unlink()
        post_build.enqueue(str(builder.state_dir), [builder.nix.full(path)])
        _until(service.staged, what="it works")
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=_PATIENCE)[1] == ""
        assert process.returncode == ExitCode.DONE
    finally:
        process.kill()
        process.communicate()


def test_i9_a_running_daemon_queues_what_its_hooks_rooted_but_could_not_queue(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hook.daemon.ADOPT_SECONDS", 0.1)
    paths = [builder.nix.add(name, b"data") for name in ("before", "while")]

    def root_each() -> None:
        for path in paths:
            post_build.add_gc_root(str(builder.state_dir), builder.nix.full(path))
            link = Path(post_build.gc_roots_dir(str(builder.state_dir))) / path.base_name
            os.utime(link, (0, 0), follow_symlinks=False)
            _until(partial(_is_queued, builder, path), what="adopted")

    ended = _daemon_here(builder, root_each)
    assert ended.code == ExitCode.DONE
    assert ended.err.count("is rooted but was not queued; it is now.") == 2


@pytest.mark.usefixtures("judging")
def test_a_second_uploader_leaves_the_work_to_the_first_and_follows_it(builder: Builder) -> None:
    path = builder.nix.add("file", b"data")
    with _daemon(builder):
        _until(lambda: control.ask(builder.state_dir, ask="known", paths=[]), what="the daemon owns the queue")
        ended = builder.assay("push", builder.nix.full(path), "--timeout", "60")
        assert (ended.code, ended.err) == (ExitCode.DONE, "")
        assert "another uploader works on" in ended.out
        other = builder.assay("daemon")
        assert other.code == ExitCode.TROUBLE
        assert "another uploader" in other.err


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_large_upload_ends_it_without_a_trace(
    builder: Builder, service: Service, how: signal.Signals
) -> None:
    (path,) = builder.nix.build(_NOISE, hook=builder.install_hook())
    builder.configure(ASSAY_MAX_BYTES_PER_SECOND=_SLOWLY)
    process = builder.start("upload", "--once")
    _until(service.unfinished_uploads, what="the upload is under way")
    process.send_signal(how)
    said = process.communicate(timeout=_PATIENCE)[1]
    assert process.returncode == ExitCode.INTERRUPTED, said
    assert "Traceback" not in said
    assert service.unfinished_uploads() == 0
    assert builder.entries()[path].progress == Queued(), "an interruption is no failed try"


def test_i6_killed_in_the_middle_the_next_uploader_goes_on(builder: Builder, service: Service) -> None:
    """The one multipart upload that was begun is the one that is completed."""
    built = builder.nix.build(
        f"let noise = {_NOISE}; top = {derivation('top', 'echo ${noise} > $out')}; in [ noise top ]",
        hook=builder.install_hook(),
    )
    builder.configure(ASSAY_MAX_BYTES_PER_SECOND=_SLOWLY)
    for _ in range(3):
        process = builder.start("upload", "--once")
        _until(service.unfinished_uploads, what="the upload is under way")
        process.kill()
        process.communicate()
        assert set(builder.entries()) == set(built)
        builder.nix.collect_garbage()
    builder.configure(ASSAY_MAX_BYTES_PER_SECOND=_AT_ONCE)
    with service.judging(builder.nix.store_dir):
        ended = builder.assay("upload", "--once", "--timeout", "60")
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert set(service.judged) == set(built)
    assert builder.entries() == {}
    assert service.unfinished_uploads() == 0
    assert gc_roots.rooted(builder.state_dir) == {}


def _is_queued(builder: Builder, path: StorePath) -> bool:
    return path in builder.entries()


def _judged(service: Service, number: int) -> bool:
    return len(service.judged) == number
