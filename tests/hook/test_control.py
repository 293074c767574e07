"""The control socket: any bytes get an answer or none, and no client keeps the owner from its work (I9)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread

import pytest

from hook.queue import control
from hook.queue.queue import Queue
from hook.report import Report
from nixcache.errors import TransientError
from nixcache.store_path import NIX_STORE, StorePath

_PATH = StorePath.from_base_name(f"{'0' * 32}-x")
_PATIENCE = 60.0


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIX_STATE_DIR", str(tmp_path / "nix"))
    return tmp_path / "assay"


@pytest.fixture
def queue(state_dir: Path) -> Iterator[Queue]:
    queue = Queue(state_dir, NIX_STORE, report=Report())
    with queue.owned():
        yield queue


def _connected(state_dir: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    assert control._connect(client, state_dir)
    client.settimeout(_PATIENCE)
    return client


def _answer_to(state_dir: Path, data: bytes) -> bytes:
    with _connected(state_dir) as client, client.makefile("rb") as answer:
        client.sendall(data)
        return answer.readline()


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\0",
        b"[]",
        b"null",
        b"[" * 100_000,
        b"{}",
        b'{"schema": 1}',
        b'{"schema": 2, "ask": "nudge"}',
        b'{"schema": 1, "ask": "delete"}',
        b'{"schema": 1, "ask": []}',
        b'{"schema": 1, "ask": "overview", "limit": "all"}',
        b'{"schema": 1, "ask": "overview", "limit": Infinity}',
        b'{"schema": 1, "ask": "known", "paths": 1}',
        b'{"schema": 1, "ask": "known", "paths": [1]}',
        b'{"schema": 1, "ask": "forget", "paths": ["../../etc/passwd"]}',
    ],
)
def test_what_is_no_question_gets_an_answer_that_says_so(state_dir: Path, line: bytes) -> None:
    answer = json.loads(_answer_to(state_dir, line + b"\n"))
    assert answer["schema"] == control.SCHEMA
    assert answer["problem"]


def test_a_request_without_an_end_is_read_no_further_than_its_bound(state_dir: Path, queue: Queue) -> None:
    with _connected(state_dir) as client, suppress(ConnectionError):
        sent = 0
        while sent < 100 * control.MAX_REQUEST:
            sent += client.send(b" " * 65536)
    assert sent < 10 * control.MAX_REQUEST
    assert control.ask(state_dir, ask="nudge") == {"schema": control.SCHEMA, "nudged": True}
    assert queue.nudged.is_set()


def test_i9_clients_that_say_nothing_keep_the_owner_from_nothing(
    state_dir: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_CLIENT_SECONDS", 0.2)
    silent = [_connected(state_dir) for _ in range(control._CLIENTS_AT_ONCE + 3)]
    assert queue.counts()["queued"] == 0, "the queue itself is not held up"
    for client in silent:
        assert client.recv(1) == b"", "it is sent away"
        client.close()
    monkeypatch.setattr(control, "_CLIENT_SECONDS", _PATIENCE)
    assert control.ask(state_dir, ask="nudge"), "nor, after a while, is whoever wants to know something"


def test_whoever_leaves_before_the_answer_disturbs_nobody(state_dir: Path, queue: Queue) -> None:
    for _ in range(20):
        with _connected(state_dir) as client:
            client.sendall(b'{"schema": 1, "ask": "overview", "limit": 1}\n')
    assert control.ask(state_dir, ask="nudge")
    assert queue.nudged.is_set()


def test_only_root_and_the_owners_user_may_change_anything(
    state_dir: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.refuse(_PATH, code="x", problem="y")
    monkeypatch.setattr(control, "_may_change", lambda _: False)
    for request in ({"ask": "nudge"}, {"ask": "forget", "paths": [_PATH.base_name]}):
        with pytest.raises(TransientError, match="Only root"):
            control.ask(state_dir, **request)
    assert not queue.nudged.is_set()
    assert queue.get(_PATH)
    assert control.ask(state_dir, ask="overview", limit=1), "but look they may"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.usefixtures("queue")
def test_a_strangers_credentials_are_what_the_kernel_says_of_them(state_dir: Path, tmp_path: Path) -> None:
    program = (
        "import os, socket, sys\n"
        "client = socket.socket(socket.AF_UNIX); os.chdir(sys.argv[1]); os.setuid(65534)\n"
        'client.connect(\'control.sock\'); client.sendall(b\'{"schema": 1, "ask": "nudge"}\\n\')\n'
        "print(client.makefile().readline())"
    )
    for directory in (state_dir, *state_dir.parents):
        if directory.is_relative_to(tmp_path.parent):
            directory.chmod(0o755)
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, state_dir], capture_output=True, text=True, check=True
    )
    assert "Only root" in ended.stdout


def test_a_state_directory_with_a_long_name_has_a_socket_as_well(tmp_path: Path) -> None:
    state_dir = tmp_path / ("d" * 200)
    with Queue(state_dir, NIX_STORE, report=Report()).owned():
        assert control.ask(state_dir, ask="nudge")


def test_elsewhere_a_name_that_is_too_long_is_said_and_the_queue_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    queue = Queue(tmp_path / ("d" * 200), NIX_STORE, report=Report())
    with queue.owned() as mine:
        assert mine
        assert queue.counts()["queued"] == 0
    assert "longer than" in capsys.readouterr().err


def test_a_socket_that_a_killed_owner_left_over_is_in_nobodys_way(state_dir: Path) -> None:
    state_dir.mkdir()
    left_over = socket.socket(socket.AF_UNIX)
    with control._address(state_dir) as address:
        left_over.bind(address)
    left_over.close()
    assert control.ask(state_dir, ask="nudge") is None
    with Queue(state_dir, NIX_STORE, report=Report()).owned():
        assert control.ask(state_dir, ask="nudge")


def test_where_nobody_owns_the_queue_nobody_answers(state_dir: Path) -> None:
    assert control.ask(state_dir, ask="nudge") is None
    with Queue(state_dir, NIX_STORE, report=Report()).owned():
        pass
    assert control.ask(state_dir, ask="nudge") is None


def test_the_socket_that_systemd_passes_is_answered_on_as_often_as_the_queue_is_owned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = socket.socket(socket.AF_UNIX)
    with passed, control._address(tmp_path) as address:
        passed.bind(address)
        passed.listen()
        monkeypatch.setattr(control, "_PASSED_DESCRIPTOR", passed.fileno())
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        before = (tmp_path / control.NAME).stat().st_ino
        for _ in range(2):
            with Queue(tmp_path, NIX_STORE, report=Report()).owned():
                assert control.ask(tmp_path, ask="nudge")
        assert (tmp_path / control.NAME).stat().st_ino == before, "it is not ours to make anew"


def test_a_socket_that_systemd_listens_at_is_not_taken_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`assay upload --once` beside an installed assay.socket, which would be unreachable ever after."""
    with socket.socket(socket.AF_UNIX) as listening, control._address(tmp_path) as address:
        listening.bind(address)
        listening.listen()
        before = (tmp_path / control.NAME).stat().st_ino
        with Queue(tmp_path, NIX_STORE, report=Report()).owned() as mine:
            assert mine
        assert (tmp_path / control.NAME).stat().st_ino == before
    assert "another process (systemd?) listens" in capsys.readouterr().err


def test_a_socket_for_another_process_is_left_alone(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    with Queue(state_dir, NIX_STORE, report=Report()).owned():
        assert control.ask(state_dir, ask="nudge")


def test_who_finds_a_line_waits_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Unix socket refuses a client that has a time-out as soon as the backlog is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        with control._address(tmp_path) as address:
            listening.bind(address)
        listening.listen(0)
        with suppress(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.settimeout(0)
                with control._address(tmp_path) as address:
                    waiting.connect(address)
        monkeypatch.setattr(time, "sleep", lambda _: stack.enter_context(listening.accept()[0]))
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        assert control._connect(client, tmp_path)


def test_nobody_can_ask_for_more_entries_than_an_answer_holds(
    state_dir: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LISTED_AT_MOST", 2)
    for digit in "123":
        queue.refuse(StorePath.from_base_name(f"{digit * 32}-x"), code="x", problem="y")
    answer = control.ask(state_dir, ask="overview", limit=10**9)
    assert answer
    assert len(answer["overview"]["entries"]) == 2


@pytest.mark.usefixtures("queue")
def test_i9_where_no_thread_can_be_started_a_client_is_sent_away_and_the_next_is_answered(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Thread.start
    failed: list[Thread] = []

    def exhausted(thread: Thread) -> None:
        # More often than there are places: none may be lost.
        if thread.name == "control client" and len(failed) <= control._CLIENTS_AT_ONCE:
            failed.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(Thread, "start", exhausted)
    for _ in range(control._CLIENTS_AT_ONCE + 1):
        assert control.ask(state_dir, ask="nudge") is None
    assert control.ask(state_dir, ask="nudge")
