"""The control socket: how the owner of a queue answers who asks about it, while it alone has the database open.

One JSON line asks and one answers; both carry ``schema``. Anybody who can reach the socket may ask; only root and the
owner's own user may change anything.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import struct
import sys
import time
from contextlib import contextmanager, suppress
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from hook.errors import Cause, Trouble
from hook.post_build import describe
from nixcache.errors import AssayError, TransientError
from nixcache.store_path import StorePath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from hook.queue.overview import Known, Overview
    from hook.report import Report
    from nixcache.store_path import StoreDir

NAME: Final = "control.sock"
SCHEMA: Final = 1
MAX_REQUEST: Final = 1024 * 1024
"""Bytes of one line that asks."""
MAX_ANSWER: Final = 64 * 1024 * 1024
"""Bytes of one line that answers."""
PATHS_AT_ONCE: Final = 1000
"""Paths in one request: with the longest of names, a fourth of what it may take."""

LISTED_AT_MOST: Final = 100_000
"""Entries in one answer, which then just fits: whoever asks must not make the owner hold a million of them."""

_CLIENT_SECONDS: Final = 10.0
"""How long a client may take to ask, and to take its answer."""
_ANSWER_SECONDS: Final = 60.0
"""How long the owner may take to answer: it may be on a slow disk with a million entries."""
_CLIENTS_AT_ONCE: Final = 8
_PASSED_DESCRIPTOR: Final = 3
"""Of the first socket that systemd passes (sd_listen_fds(3))."""
_MAC_LOCAL_PEERCRED: Final = 1
_SHORTEST_LIMIT: Final = 103
"""Bytes of a socket's path that every system takes (macOS; Linux has 107)."""


class Answering(Protocol):
    """What a queue can be asked for; called from several threads."""

    state_dir: Path
    store_dir: StoreDir

    def overview(self, *, limit: int, rejected: bool = True) -> Overview:
        """Return counts, and ``limit`` entries (with the ``rejected`` or without) and conclusions at the most."""

    def known(self, paths: Iterable[StorePath]) -> dict[StorePath, Known]:
        """Return what is known of each of ``paths``."""

    def refused(self, limit: int, after: StorePath | None) -> list[StorePath]:
        """Return ``limit`` of the refused at the most, in the order of their paths, behind ``after``."""

    def nudge(self) -> None:
        """Make everything due that is queued, and wake the owner."""

    def forget(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """Drop those of ``paths`` that were refused, and return them."""


class Control:
    """Answers for ``queue`` in threads of its own, for as long as the block lasts.

    A queue works without it as well: where there can be no socket, that is reported, and nothing else happens.
    """

    def __init__(self, queue: Answering, *, report: Report) -> None:
        self._queue = queue
        self._report = report
        self._room = BoundedSemaphore(_CLIENTS_AT_ONCE)
        self._thread: Thread | None = None
        self._wake, self._woken = socket.socketpair()

    def __enter__(self) -> Self:
        try:
            listening = _passed_socket() or _listen(self._queue.state_dir)
        except OSError as error:
            self._report.problem(
                f"Nobody can ask this process about the queue: {describe(error)} The queue itself is not concerned."
            )
        else:
            self._thread = Thread(target=self._serve, args=(listening,), name="control", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wake.close()
        if self._thread:
            self._thread.join()
        self._woken.close()
        # Whoever is being answered still: until then the database must stay open.
        for _ in range(_CLIENTS_AT_ONCE):
            self._room.acquire()

    def _serve(self, listening: socket.socket) -> None:
        with listening, selectors.DefaultSelector() as selector:
            listening.setblocking(False)  # noqa: FBT003 - the socket's own signature
            selector.register(listening, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                if any(key.fileobj is self._woken for key, _ in selector.select()):
                    return
                # A client that says nothing keeps its place for a while: the others wait, the owner does not.
                if not self._room.acquire(timeout=0.1):
                    continue
                try:
                    client, _ = listening.accept()
                except OSError:
                    # It is gone again; or there are no descriptors left, and that must not become a busy loop.
                    self._room.release()
                    time.sleep(0.01)
                    continue
                try:
                    Thread(target=self._attend, args=(client,), name="control client", daemon=True).start()
                except RuntimeError:
                    # There are no threads left: this client asks again, and the next one may be luckier.
                    client.close()
                    self._room.release()
                    time.sleep(0.01)

    def _attend(self, client: socket.socket) -> None:
        try:
            with client, suppress(OSError):
                request = _read_line(client, MAX_REQUEST, time.monotonic() + _CLIENT_SECONDS)
                answer = json.dumps({"schema": SCHEMA, **self._answer(request, _may_change(client))})
                client.settimeout(_CLIENT_SECONDS)
                client.sendall(answer.encode() + b"\n")
        finally:
            self._room.release()

    def _answer(self, line: bytes, may_change: bool) -> dict[str, Any]:  # noqa: FBT001 - of one caller
        try:
            request = json.loads(line)
            if request["schema"] != SCHEMA:
                return _no(f"The owner of the queue speaks schema {SCHEMA}.", "Restart it: it is of another version.")
            return self._act(request, may_change=may_change)
        except (AssayError, OSError) as error:
            if isinstance(error, AssayError):
                return _no(error.problem, error.remedy)
            return _no(describe(error))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            return _no("This is no question that the owner of the queue understands.")

    def _act(self, request: Mapping[str, Any], *, may_change: bool) -> dict[str, Any]:
        ask, store_dir = request["ask"], self._queue.store_dir
        if ask == "overview":
            limit = min(max(0, int(request["limit"])), LISTED_AT_MOST)
            overview = self._queue.overview(limit=limit, rejected=request.get("rejected") is not False)
            return {"overview": overview.document(store_dir)}
        if ask == "known":
            known = self._queue.known(_paths(request))
            return {"known": {path.base_name: one.document(store_dir) for path, one in known.items()}}
        if ask == "refused":
            after = StorePath.from_base_name(request["after"]) if request["after"] else None
            limit = min(max(0, int(request["limit"])), LISTED_AT_MOST)
            return {"refused": [path.base_name for path in self._queue.refused(limit, after)]}
        if ask not in {"nudge", "forget"}:
            raise ValueError(ask)
        if not may_change:
            return _no(
                f"Only root and the user who works on {self._queue.state_dir} may change the queue.",
                "Do it as one of them.",
            )
        if ask == "nudge":
            self._queue.nudge()
            return {"nudged": True}
        return {"forgotten": [path.base_name for path in self._queue.forget(_paths(request))]}


def ask(state_dir: Path, **request: object) -> dict[str, Any] | None:
    """Ask the owner of the queue; returns None where there is none.

    Raises :class:`TransientError` with what the owner said, and OSError, among them PermissionError.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            if not _connect(client, state_dir):
                return None
            client.sendall(json.dumps({"schema": SCHEMA, **request}).encode() + b"\n")
            line = _read_line(client, MAX_ANSWER, time.monotonic() + _ANSWER_SECONDS)
            answer = json.loads(line)
            if answer["schema"] != SCHEMA:
                raise misunderstood()
        except ConnectionError:
            return None  # it has just ended
        except TimeoutError:
            raise Trouble(
                Cause.MACHINE, "The owner of the queue does not answer.", remedy="Look at its log, and at the disk."
            ) from None
        except (ValueError, TypeError, KeyError):
            raise misunderstood() from None
    if "problem" in answer:
        raise TransientError(str(answer["problem"]), remedy=str(answer.get("remedy", "")))
    return dict(answer)


def _connect(client: socket.socket, state_dir: Path) -> bool:
    """Connect to the owner, if there is one; raises TimeoutError and other kinds of OSError."""
    client.settimeout(_ANSWER_SECONDS)
    deadline = time.monotonic() + _ANSWER_SECONDS
    while True:
        try:
            with _address(state_dir) as address:
                client.connect(address)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return False
        except BlockingIOError:
            # Others wait in line already, and a Unix socket has no place in it for a client that has a time-out.
            if time.monotonic() > deadline:
                raise TimeoutError from None
            time.sleep(0.02)
        else:
            return True


def misunderstood() -> Trouble:
    """The owner's answer is none."""
    return Trouble(
        Cause.MACHINE,
        "The owner of the queue answers in a way that this version does not understand.",
        remedy="Restart it: it is of another version.",
    )


def _no(problem: str, remedy: str = "") -> dict[str, Any]:
    return {"problem": problem, "remedy": remedy}


def _paths(request: Mapping[str, Any]) -> list[StorePath]:
    return [StorePath.from_base_name(text) for text in request["paths"]]


def _read_line(connection: socket.socket, limit: int, deadline: float) -> bytes:
    """Return what comes before the first newline; raises TimeoutError and other kinds of OSError."""
    data = bytearray()
    while not data.endswith(b"\n"):
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError("It ended in the middle.")
        data += piece
        # Each piece restarts the clock of a socket: a client that sends a byte a second would stay for ever.
        if len(data) > limit or time.monotonic() > deadline:
            raise TimeoutError("It says too much, or too slowly.")
    return bytes(data)


def _listen(state_dir: Path) -> socket.socket:
    if _is_listened_at(state_dir):
        # systemd, for the service: whoever took its socket's file away would leave that service unreachable.
        raise OSError(errno.EADDRINUSE, "another process (systemd?) listens", str(state_dir / NAME))
    with suppress(FileNotFoundError):
        # Left over by an owner that was killed: the caller holds the queue's lock, so there is no other.
        (state_dir / NAME).unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(state_dir) as address:
            listening.bind(address)
        (state_dir / NAME).chmod(0o666)
        listening.listen()
    except BaseException:
        listening.close()
        raise
    return listening


def _is_listened_at(state_dir: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client, _address(state_dir) as address:
        # A full backlog must not keep us: that somebody listens is then plain, too.
        client.setblocking(False)  # noqa: FBT003 - the socket's own signature
        try:
            client.connect(address)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


@contextmanager
def _address(state_dir: Path) -> Iterator[str]:
    """Give an address of the socket that is short enough, whatever the state directory is called."""
    path = str(state_dir / NAME)
    if len(os.fsencode(path)) <= _SHORTEST_LIMIT:
        yield path
        return
    if not sys.platform.startswith("linux"):
        raise OSError(
            errno.ENAMETOOLONG, f"longer than the {_SHORTEST_LIMIT} bytes that a socket's path may have", path
        )
    descriptor = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


def _passed_socket() -> socket.socket | None:
    """Return the listening socket that systemd has opened for this process, if it has."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    # A copy: a daemon that met a broken disk becomes the owner a second time, and needs it again.
    return socket.socket(fileno=os.dup(_PASSED_DESCRIPTOR))


def _may_change(client: socket.socket) -> bool:
    """Whether the process at the other end is root's, or of our own user."""
    user: int
    try:
        if hasattr(socket, "SO_PEERCRED"):
            _, user, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        elif sys.platform == "darwin":
            # struct xucred: a version, then the user (getpeereid(3) reads the same).
            _, user = struct.unpack("2I", client.getsockopt(0, _MAC_LOCAL_PEERCRED, 76)[:8])
        else:
            return False
    except (OSError, struct.error):
        return False
    return user in {0, os.geteuid()}
