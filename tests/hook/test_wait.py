"""``assay wait`` and following from the command line: what a CI job's last step says, and how it exits."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from hook import post_build
from hook.exit_code import ExitCode
from hook.queue.entry import Entry, Queued, Refused
from hook.queue.queue import Queue
from hook.queue.view import Concluded, Known
from hook.report import Report
from nixcache.store_path import StorePath
from tests.hook.builder import Builder, Ended
from tests.hook.service import Service

_AT_ONCE = ("--timeout", "0")
_LIMITED = ("--timeout", "60")


@pytest.fixture
def path(builder: Builder) -> StorePath:
    return builder.nix.add("file", b"data")


@contextmanager
def _owned(builder: Builder, *, once: Callable[[Queue], None] = lambda _: None) -> Iterator[Queue]:
    """A queue that another owns, as a daemon does; ``once`` is done to it as soon as something was nudged."""
    queue = Queue(builder.state_dir, builder.nix.store_dir, report=Report())
    ends = Event()

    def work() -> None:
        while not ends.is_set():
            if queue.nudged.wait(0.01):
                once(queue)
                return

    with queue.owned() as mine:
        assert mine
        worker = Thread(target=work)
        worker.start()
        try:
            yield queue
        finally:
            ends.set()
            worker.join()


def _save(builder: Builder, *entries: Entry) -> None:
    with _owned(builder) as queue:
        queue.save(*entries)


def test_what_is_published_already(builder: Builder, path: StorePath) -> None:
    with _owned(builder) as queue:
        queue.conclude(path, Concluded(path, time.time(), "duplicate", "an upstream has it"))
    ended = builder.assay("wait", builder.nix.full(path), *_AT_ONCE)
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert ended.out == f"duplicate {path.base_name}: an upstream has it\n"


def test_what_was_rejected(builder: Builder, path: StorePath) -> None:
    _save(builder, Entry(path, 1.0, Refused(code="x", problem="x: Wrong.", since=1.0)))
    for arguments in (["--all"], [builder.nix.full(path)]):
        with _owned(builder):
            ended = builder.assay("wait", *arguments, *_AT_ONCE)
        assert ended.code == ExitCode.REFUSED
        assert ended.err == f"assay: rejected {path.base_name}: x: Wrong.\n"


def test_no_verdict_in_time_says_what_it_waits_for_and_that_nobody_works(builder: Builder, path: StorePath) -> None:
    post_build.enqueue(str(builder.state_dir), [builder.nix.full(path)])
    ended = builder.assay("wait", "--all", *_AT_ONCE)
    assert ended.code == ExitCode.TIMED_OUT
    assert "no uploader works on" in ended.err
    assert f"no verdict yet {path.base_name}: to be uploaded" in ended.err
    assert "no verdict in time; everything is kept in the queue" in ended.err


def test_what_nobody_knows_of_is_asked_of_the_cache(builder: Builder, service: Service, path: StorePath) -> None:
    ended = builder.assay("wait", builder.nix.full(path), *_LIMITED)
    assert ended.code == ExitCode.REFUSED
    assert "neither queued, nor was it lately, nor is it in the cache" in ended.err
    service.put_into_cache(path, builder.nix.store_dir)
    ended = builder.assay("wait", builder.nix.full(path), *_LIMITED)
    assert (ended.code, ended.out) == (ExitCode.DONE, f"published {path.base_name}\n")


def test_without_a_configuration_the_queue_still_tells(builder: Builder, path: StorePath) -> None:
    builder.configure(ASSAY_CACHE_URL="")
    ended = builder.assay("wait", builder.nix.full(path), *_LIMITED)
    assert ended.code == ExitCode.REFUSED
    assert "no configuration says where to ask" in ended.err


def test_nothing_to_wait_for_is_done(builder: Builder) -> None:
    assert builder.assay("wait", "--all", *_LIMITED) == Ended(ExitCode.DONE, "", "")


def test_json(builder: Builder, path: StorePath) -> None:
    post_build.enqueue(str(builder.state_dir), [builder.nix.full(path)])
    ended = builder.assay("wait", "--all", "--json", *_AT_ONCE)
    assert (ended.code, ended.err) == (ExitCode.TIMED_OUT, "")
    assert json.loads(ended.out) == {
        "schema": 1,
        "exitCode": 3,
        "timedOut": True,
        "trouble": "",
        "paths": [{"storePath": builder.nix.full(path), "outcome": "open", "why": "to be uploaded"}],
    }


def test_a_cache_that_cannot_be_asked_still_gives_a_document(builder: Builder, path: StorePath) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        builder.configure(ASSAY_CACHE_URL=f"http://127.0.0.1:{closed.getsockname()[1]}")
        ended = builder.assay("wait", builder.nix.full(path), "--json", *_AT_ONCE)
        told = builder.assay("wait", builder.nix.full(path), *_AT_ONCE)
    document = json.loads(ended.out)
    assert (ended.code, document["exitCode"], document["timedOut"]) == (ExitCode.TROUBLE, 4, True)
    assert "cannot be reached" in document["trouble"]
    assert [(one["storePath"], one["outcome"]) for one in document["paths"]] == [(builder.nix.full(path), "open")]
    assert ended.err.count("\n") == 1, "the trouble, once, for whoever reads the log"
    assert told.code == ExitCode.TROUBLE
    assert f"no verdict yet {path.base_name}: " in told.err


@pytest.mark.parametrize("arguments", [["--all"], ["{path}"]])
def test_a_queue_that_cannot_be_opened_still_gives_a_document(
    builder: Builder, path: StorePath, arguments: list[str]
) -> None:
    builder.state_dir.write_text("no directory")
    full = builder.nix.full(path)
    ended = builder.assay("wait", *(word.format(path=full) for word in arguments), "--json", *_AT_ONCE)
    document = json.loads(ended.out)
    assert (ended.code, document["exitCode"]) == (ExitCode.TROUBLE, 4)
    assert str(builder.state_dir) in document["trouble"]
    assert [one["storePath"] for one in document["paths"]] == ([] if arguments == ["--all"] else [full])
    assert ended.err.startswith("assay: ")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("command", ["push", "upload"])
def test_who_finds_another_uploader_nudges_and_follows_it(
    builder: Builder, path: StorePath, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(queue: Queue) -> None:
        # Not before it is followed: of what is published by then, `upload` has nothing to tell.
        is_followed, known = Event(), queue.known

        def asked(paths: Iterable[StorePath]) -> dict[StorePath, Known]:
            answer = known(paths)
            if path in answer:
                is_followed.set()
            return answer

        monkeypatch.setattr(queue, "known", asked)
        assert is_followed.wait(60)
        queue.take_in(lambda _: [])
        queue.conclude(path, Concluded(path, time.time(), "published", ""))

    if command == "upload":
        post_build.enqueue(str(builder.state_dir), [builder.nix.full(path)])
    with _owned(builder, once=publish):
        ended = builder.assay(
            *(["push", builder.nix.full(path)] if command == "push" else ["upload", "--once"]), *_LIMITED
        )
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert ended.out.startswith(f"another uploader works on {builder.state_dir}; waiting for it.\n")
    assert f"published {path.base_name}" in ended.out


@pytest.mark.usefixtures("judging")
def test_an_uploader_that_ends_too_early_is_replaced(builder: Builder, path: StorePath) -> None:
    """I9: two pushes at once; the first ends once its own path is through, and the second must not wait for nobody."""
    queue = Queue(builder.state_dir, builder.nix.store_dir, report=Report())
    is_owned, ends = Event(), Event()

    def own() -> None:
        with queue.owned():
            is_owned.set()
            queue.nudged.wait(60)
        ends.set()

    owner = Thread(target=own)
    owner.start()
    assert is_owned.wait(60)
    ended = builder.assay("push", builder.nix.full(path), *_LIMITED)
    owner.join()
    assert ends.is_set()
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert ended.out.count("another uploader works on") == 1
    assert f"published {path.base_name}" in ended.out


def test_what_was_queued_while_the_clock_was_ahead_is_waited_for(builder: Builder, path: StorePath) -> None:
    _save(builder, Entry(path, time.time() + 3600, Queued()))
    assert builder.assay("wait", "--all", *_AT_ONCE).code == ExitCode.TIMED_OUT
