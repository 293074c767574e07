"""An upstream gone bad, or whoever stands before it: its key alone is believed, and it holds nothing up."""

from __future__ import annotations

import gzip
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from lambdas.ingest.adapters import upstreams as upstreams_module
from lambdas.ingest.adapters.upstreams import HttpUpstreams
from nixcache.errors import TransientError
from nixcache.narinfo import MAX_NARINFO_SIZE
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE, StorePath
from nixcache.verify import verify
from protocol.settings import Upstream
from protocol.verdicts import Against, Conflict, Duplicate, Kind, Published, Waiting
from tests.adversary.target import Target
from tests.concurrency.deployment import ALICE, KEY
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import StoreObject

UPSTREAM_KEY = SecretKey.generate("upstream.test-1")
Answer = Callable[[socket.socket], object]


def signed(thing: StoreObject, key: SecretKey = UPSTREAM_KEY) -> bytes:
    """Return the narinfo that an upstream with ``key`` serves."""
    verified = verify(thing.narinfo, [thing.file])
    return verified.narinfo((key.sign(verified),)).render()


def response(status: str, body: bytes, *headers: str) -> bytes:
    """Return an answer, headers and all."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Host:
    """What answers each request as it is told, byte for byte; ``asked`` are the request lines."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.upstream = Upstream(self.url, (UPSTREAM_KEY.public_key,))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, suppress(OSError):
                    self.asked.append(connection.recv(65536).split(b"\r\n")[0])
                    self._answer(connection)


@contextmanager
def serving(answer: Answer | bytes) -> Iterator[Host]:
    host = Host((lambda connection: connection.sendall(answer)) if isinstance(answer, bytes) else answer)
    try:
        yield host
    finally:
        host.close()


def _trusting(*hosts: Host) -> Target:
    target = Target()
    target.settings = replace(target.settings, upstreams=tuple(host.upstream for host in hosts))
    return target


def _tried(target: Target) -> bool:
    """Deliver the one message there is; tell whether ingest is done with it."""
    (message,) = target.queue.messages
    assert target.queue.take(message)
    return target.container()(message)


@pytest.mark.parametrize(
    "lie",
    [
        "another path's narinfo",
        "the same hash part under another name",
        "another key of its name",
        "a signature over other references",
        "a narinfo of another store dir",
        "our own key's signature",
    ],
)
def test_a_reference_that_no_trusted_key_vouches_for_is_missing(objects: Objects, lie: str) -> None:
    """I4: an upstream says what it likes; what counts is signed, and about the path that was asked for."""
    libc, leaf = objects.build("libc"), objects.build("leaf")
    text = {
        "another path's narinfo": lambda: signed(leaf),
        "the same hash part under another name": lambda: signed(
            libc.claiming(store_path=StorePath(libc.path.hash_part, "libd"))
        ),
        "another key of its name": lambda: signed(libc, SecretKey.generate(UPSTREAM_KEY.name)),
        "a signature over other references": lambda: signed(libc).replace(
            b"References: ", f"References: {leaf.path.base_name}".encode()
        ),
        "a narinfo of another store dir": lambda: signed(libc).replace(b"/nix/store/", b"/gnu/store/"),
        "our own key's signature": lambda: signed(libc, KEY),
    }[lie]()
    top = objects.build("top", [libc])
    with serving(lambda connection: connection.sendall(response("200 OK", text))) as host:
        target = _trusting(host)
        target.submit(top, ALICE)
        assert _tried(target)
        assert target.result(top.path, ALICE).verdict == Waiting((libc.path,))
        assert len(host.asked) > 1
    target.check()


def test_an_upstream_takes_no_path_over_that_it_does_not_have(objects: Objects) -> None:
    """I3: only under its key is a submission called its duplicate, or in conflict with it."""
    leaf, other = objects.build("leaf"), objects.build("leaf", text="other")
    verdicts = {}
    for name, text in {
        "unsigned": leaf.narinfo.render(),
        "the same": signed(leaf),
        "another": signed(other),
    }.items():
        with serving(response("200 OK", text)) as host:
            target = _trusting(host)
            target.submit(leaf, ALICE)
            assert _tried(target)
            verdict = target.result(leaf.path, ALICE).verdict
            verdicts[name] = replace(verdict, upstream="") if isinstance(verdict, Duplicate) else verdict
            target.check()
    assert verdicts == {
        "unsigned": Published((KEY.name,)),
        "the same": Duplicate(""),
        "another": Conflict(other.narinfo.nar_hash, leaf.narinfo.nar_hash, Against.UPSTREAM),
    }


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect"])
def test_a_redirect_leads_nowhere(objects: Objects, status: str) -> None:
    """An upstream must not make ingest ask what only ingest can reach: Lambda hands out events over HTTP.

    Not even where a true narinfo is at the end of it: an operator writes the URL down that answers.
    """
    libc = objects.build("libc")
    top = objects.build("top", [libc])
    with serving(response("200 OK", signed(libc))) as victim:
        location = f"Location: {victim.url}/2018-06-01/runtime/invocation/next"
        with serving(response(status, b"", location)) as host:
            target = _trusting(host)
            target.submit(top, ALICE)
            assert not _tried(target)
            assert host.asked
        assert victim.asked == []
    assert target.ledger.keys() == target.cache.keys() == []


def test_an_answer_without_end_is_read_up_to_a_narinfos_limit(objects: Objects) -> None:
    """I7."""
    sent = [0]

    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while sent[0] < 256 * 1024**2:
            sent[0] += connection.send(b"x" * 65536)

    with serving(pour) as host:
        found = HttpUpstreams((host.upstream,), NIX_STORE, connections=1).find(objects.build("libc").path)
    assert found is None
    assert sent[0] < MAX_NARINFO_SIZE + 32 * 1024**2, "and what the sockets had taken by then"


@pytest.mark.parametrize("layers", [1, 2])
def test_an_answer_that_unpacks_to_a_gibibyte_is_read_up_to_a_narinfos_limit(objects: Objects, layers: int) -> None:
    """I7: the HTTP library decodes what says that it is encoded, asked or not."""
    bomb = bytes(1024**3 // 4)
    for _ in range(layers):
        bomb = gzip.compress(bomb, 1)
    encoding = "Content-Encoding: " + ", ".join(["gzip"] * layers)
    with serving(response("200 OK", bomb, encoding)) as host:
        tracemalloc.start()
        found = HttpUpstreams((host.upstream,), NIX_STORE, connections=1).find(objects.build("libc").path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert found is None
    assert peak < 32 * 1024**2


DRIPS: dict[str, tuple[bytes, bytes]] = {
    "the status line": (b"", b"H"),
    "the headers": (b"HTTP/1.1 200 OK\r\n", b"X"),
    "the body": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "the chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
}


@pytest.mark.parametrize("what", DRIPS)
def test_an_answer_that_drips_is_given_up(objects: Objects, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """I6: each byte comes in time, and a megabyte of them would take months: Lambda would end the whole batch."""
    start, drop = DRIPS[what]
    given_up = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        while not given_up.wait(0.01):
            connection.sendall(drop)

    libc = objects.build("libc")
    with serving(drip) as host, serving(response("200 OK", signed(libc))) as good:
        ended = threading.Timer(60, given_up.set)  # so that a failure ends, too
        ended.start()
        _give_up_soon(monkeypatch, host)
        with pytest.raises(TransientError, match="does not answer within"):
            HttpUpstreams((host.upstream,), NIX_STORE, connections=1).find(libc.path)
        # It keeps nobody from asking another upstream, not even for the path after the next.
        both = HttpUpstreams((host.upstream, good.upstream), NIX_STORE, connections=1)
        for _ in range(3):
            found = both.find(libc.path)
            assert found is not None
            assert found.url == good.url
        given_up.set()
        ended.cancel()


def _give_up_soon(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    """Have ``host`` given up after a moment; the others have the time that an upstream has."""
    fetch = HttpUpstreams._fetch

    def impatiently(upstreams: HttpUpstreams, upstream: Upstream, url: str) -> bytes | None:
        with pytest.MonkeyPatch.context() as patch:
            if upstream is host.upstream:
                patch.setattr(upstreams_module, "ANSWER_SECONDS", 0.2)
            return fetch(upstreams, upstream, url)

    monkeypatch.setattr(HttpUpstreams, "_fetch", impatiently)


def test_an_upstream_that_forgets_a_path_leaves_what_was_published(objects: Objects) -> None:
    """I3: what references it stays as it is; that it can still be had is the upstream's affair, as it always was."""
    libc = objects.build("libc")
    top = objects.build("top", [libc])
    has_it = [True]

    def answer(connection: socket.socket) -> None:
        connection.sendall(response("200 OK", signed(libc)) if has_it[0] else response("404 Not Found", b""))

    with serving(answer) as host:
        target = _trusting(host)

        target.settings = replace(target.settings, publish_upstream_paths=True)
        target.submit(top, ALICE)
        assert _tried(target)
        seen = target.visible(top.path)
        has_it[0] = False
        target.submit(top, ALICE)
        assert _tried(target)
        assert target.visible(top.path) == seen
        assert target.result(top.path, ALICE).verdict.kind is Kind.DUPLICATE
