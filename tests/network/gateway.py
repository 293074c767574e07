"""A network that fails as told: an HTTP gateway on loopback in front of servers that work.

It is what a firewall, a captive portal, a proxy, a slow line or an S3 in trouble is to a builder. Everything that
arrives while a test lets it fail meets that fault, and ``seen`` tells afterwards what arrived.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
_PIECE = 4096
_MAX_LINE = 65536
_HOP_BY_HOP = frozenset(
    ("connection", "expect", "keep-alive", "proxy-connection", "transfer-encoding", "content-length")
)

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived; ``authority`` is what a client of a proxy asks for."""

    method: str
    path: str
    query: str
    authority: str = ""

    @property
    def key(self) -> str:
        """The object's key, behind the bucket."""
        return self.path.removeprefix("/").partition("/")[2]


class Exchange:
    """One request, of which the head was read, and what a fault may do with it."""

    def __init__(self, gateway: Gateway, connection: _Connection, seen: Seen, headers: http.client.HTTPMessage) -> None:
        self.seen = seen
        self.headers = headers
        self._gateway = gateway
        self._connection = connection
        self._body: bytes | None = None

    def body(self, *, limit: int | None = None) -> bytes:
        """Return the request's body, or the first ``limit`` bytes of it."""
        if self._body is None:
            self._body = self._connection.read_body(self.headers, limit)
        return self._body

    def forward(self) -> Answer:
        """Have the server behind answer."""
        return self._connection.forward(self.seen, self.headers, self.body())

    def answer(self, answer: Answer, *, only: int | None = None) -> None:
        """Read what is left of the request and send ``answer``; ``only`` so many bytes of its body, and no more."""
        self.body()
        self._connection.send(answer, self.seen.method, only)

    def reset(self) -> None:
        """Cut the connection with RST, as a firewall or a dying load balancer does."""
        self._connection.reset()

    def close(self) -> None:
        """End the connection in order, wherever the answer is."""
        self._connection.close()

    def hang(self) -> None:
        """Say nothing until the fault is over or the other side has given up."""
        self._gateway.wait_for_the_end_of_the_fault(self._connection)
        self._connection.reset()


Fault = Callable[[Exchange], None]


def none(exchange: Exchange) -> None:
    """Do what a good network does."""
    exchange.answer(exchange.forward())


class Gateway:
    """Listens for the length of a ``with`` block. ``upstream`` is who answers unless ``routes`` names another.

    ``routes`` maps the authority that a client asks a proxy for (``host:port``) to an address. With ``tls``, it speaks
    TLS to its clients.
    """

    def __init__(
        self, upstream: Address, *, routes: Mapping[str, Address] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.upstream = upstream
        self.routes = routes or {}
        self.tls = tls
        self.connections = 0
        self.bytes_per_second: float | None = None
        self._seen: list[Seen] = []
        self._fault: Fault = none
        self._over = threading.Event()
        self._line_free_at = 0.0
        self._open: set[_Connection] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        # Held without listening: while nobody listens, connections are refused, and no other process takes the port.
        self._held = _bound(0)
        self.port: int = self._held.getsockname()[1]

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"{'https' if self.tls else 'http'}://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening and cut what is open."""
        self._stop_listening()
        self._held.close()

    @property
    def seen(self) -> list[Seen]:
        """What has arrived since :meth:`forget`, in order."""
        with self._lock:
            return list(self._seen)

    def forget(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self._seen.clear()
            self.connections = 0

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Let everything that arrives meet ``fault``."""
        self._set(fault)
        try:
            yield
        finally:
            self._set(none)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Refuse connections."""
        self._stop_listening()
        try:
            yield
        finally:
            self._listen()

    @contextmanager
    def slow(self, bits_per_second: float) -> Iterator[None]:
        """Let no more than so much through, both ways together."""
        self.bytes_per_second = bits_per_second / 8
        try:
            yield
        finally:
            self.bytes_per_second = None

    def wait_for_the_end_of_the_fault(self, connection: _Connection) -> None:
        """Return when the fault is over, or when whoever asked has gone."""
        while not self._over.wait(0.02) and not connection.is_deserted():
            pass

    def take_time(self, size: int) -> None:
        """Take as long as the line needs for ``size`` bytes; all connections share it."""
        rate = self.bytes_per_second
        if rate:
            with self._lock:
                self._line_free_at = max(self._line_free_at, time.monotonic()) + size / rate
                wait = self._line_free_at - time.monotonic()
            time.sleep(max(0.0, wait))

    def _set(self, fault: Fault) -> None:
        with self._lock:
            self._fault = fault
            self._over.set()
            self._over = threading.Event()

    def _listen(self) -> None:
        listener = _bound(self.port)
        listener.listen(128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener:
            # A thread in accept() holds the socket open: on Linux the shutdown wakes it, elsewhere the connection.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            with suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1):
                pass
            listener.close()
        with self._lock:
            self._over.set()
            self._over = threading.Event()
            still_open = list(self._open)
        for connection in still_open:
            connection.cut()

    def _accept(self, listener: socket.socket) -> None:
        while listener is self._listener:
            try:
                accepted = listener.accept()[0]
            except OSError:
                return
            if listener is not self._listener:
                accepted.close()
                return
            with self._lock:
                self.connections += 1
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        try:
            plain = self.tls.wrap_socket(accepted, server_side=True) if self.tls else accepted
        except OSError:
            accepted.close()  # a client that does not trust us
            return
        connection = _Connection(self, plain)
        with self._lock:
            self._open.add(connection)
        try:
            # What a client that hangs up, or a test that ends, does to us is no news.
            with suppress(OSError, http.client.HTTPException, ValueError):
                while exchange := connection.next_request():
                    with self._lock:
                        self._seen.append(exchange.seen)
                        fault = self._fault
                    fault(exchange)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


class _Connection:
    """A client's connection, and the one to the server behind that goes with it."""

    def __init__(self, gateway: Gateway, plain: socket.socket) -> None:
        self._gateway = gateway
        self._socket = plain
        self._reader = plain.makefile("rb")
        self._onward: dict[Address, http.client.HTTPConnection] = {}

    def next_request(self) -> Exchange | None:
        """Read the next request's head."""
        line = self._reader.readline(_MAX_LINE).split()
        if len(line) != 3:
            return None
        method, target = line[0].decode(), line[1].decode()
        headers = http.client.parse_headers(self._reader)
        if method == "CONNECT":
            seen = Seen(method, "", "", authority=target)
        else:
            split = urlsplit(target)
            seen = Seen(method, split.path, split.query, authority=split.netloc)
        return Exchange(self._gateway, self, seen, headers)

    def read_body(self, headers: http.client.HTTPMessage, limit: int | None) -> bytes:
        """Read it, in pieces that a slow line lets through."""
        if "100-continue" in headers.get("Expect", "").lower():
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("Transfer-Encoding", "").lower():
            return b"".join(self._chunks())[:limit]
        size = int(headers.get("Content-Length", "0"))
        return self._read(size if limit is None else min(size, limit))

    def forward(self, seen: Seen, headers: http.client.HTTPMessage, body: bytes) -> Answer:
        """Ask the server behind."""
        if seen.method == "CONNECT":
            self._tunnel(seen.authority)
            raise ConnectionAbortedError
        address = self._gateway.routes.get(seen.authority, self._gateway.upstream)
        onward = self._onward.get(address) or http.client.HTTPConnection(*address, timeout=60)
        self._onward[address] = onward
        target = f"{seen.path}?{seen.query}" if seen.query else seen.path
        onward.putrequest(seen.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name.lower() not in _HOP_BY_HOP:
                onward.putheader(name, value)
        onward.putheader("Content-Length", str(len(body)))
        onward.endheaders(body)
        response = onward.getresponse()
        kept = tuple((name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP)
        length = response.getheader("Content-Length")
        if seen.method == "HEAD" and length:
            kept = (*kept, ("Content-Length", length))
        return Answer(response.status, kept, response.read())

    def send(self, answer: Answer, method: str, only: int | None) -> None:
        """Send it, in pieces that a slow line lets through."""
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if not any(name.lower() == "content-length" for name, _ in answer.headers):
            lines.append(f"Content-Length: {len(answer.body)}")
        self._write("\r\n".join([*lines, "", ""]).encode())
        if method != "HEAD":
            self._write(answer.body[:only])

    def is_deserted(self) -> bool:
        """Whether the client has hung up."""
        with suppress(OSError, ValueError):
            if not select.select([self._socket], [], [], 0)[0]:
                return False
            # TLS has nothing to peek at; there the fault's end is what ends a wait.
            return not isinstance(self._socket, ssl.SSLSocket) and not self._socket.recv(1, socket.MSG_PEEK)
        return True

    def cut(self) -> None:
        """End it from another thread: the one that serves it may sit in a read, whose lock a close would wait for."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close so that the client gets RST."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close everything; RST is sent, or FIN, as was said before."""
        for onward in self._onward.values():
            onward.close()
        with suppress(OSError, ValueError):
            self._reader.close()
        with suppress(OSError):
            self._socket.close()

    def _tunnel(self, authority: str) -> None:
        """Be a proxy's CONNECT: bytes both ways until either side has enough."""
        address = self._gateway.routes.get(authority, self._gateway.upstream)
        with socket.create_connection(address, 60) as onward:
            self._socket.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            while True:
                for readable in select.select([self._socket, onward], [], [], 60)[0]:
                    data = readable.recv(65536)
                    if not data:
                        return
                    (onward if readable is self._socket else self._socket).sendall(data)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._reader.readline(_MAX_LINE).partition(b";")[0], 16):
            yield self._read(size)
            self._reader.readline(_MAX_LINE)
        while self._reader.readline(_MAX_LINE).strip():
            pass

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._reader.read(min(size - len(data), _PIECE if self._gateway.bytes_per_second else 1 << 20))
            if not piece:
                raise ConnectionResetError
            data += piece
            self._gateway.take_time(len(piece))
        return bytes(data)

    def _write(self, data: bytes) -> None:
        step = _PIECE if self._gateway.bytes_per_second else len(data) or 1
        for start in range(0, len(data), step):
            self._gateway.take_time(min(step, len(data) - start))
            self._socket.sendall(data[start : start + step])


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((LOOPBACK, port))
    return bound
