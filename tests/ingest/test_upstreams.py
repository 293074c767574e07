"""Trusted upstreams: a reference counts as present when an upstream vouches for it under its own key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lambdas.ingest.adapters.upstreams import HttpUpstreams
from local.aws import Aws
from nixcache.errors import TransientError
from nixcache.narinfo import MAX_NARINFO_SIZE
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE, StorePath
from nixcache.verify import verify
from protocol.settings import Upstream
from protocol.verdicts import Published, Waiting
from tests.ingest.requests_log import RequestsLog
from tests.ingest.store_objects import Builder, StoreObject
from tests.ingest.world import KEY, World, connect, sqs_event

UPSTREAM_KEY = SecretKey.generate("upstream.test-1")


class Cache:
    """A binary cache over HTTP: answers by path, 404 otherwise."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        cache = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cache.asked.append(self.path)
                status, body = cache.answers.get(self.path, (404, b"404"))
                self.send_response(status)
                if status == 503:
                    self.send_header("Retry-After", "3600")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def upstream(self) -> Upstream:
        """Return how it is configured."""
        return Upstream(f"http://127.0.0.1:{self.server.server_port}", (UPSTREAM_KEY.public_key,))

    def publish(self, thing: StoreObject, key: SecretKey = UPSTREAM_KEY, *, under: StorePath | None = None) -> None:
        """Serve ``thing``'s narinfo, signed by ``key``."""
        verified = verify(thing.narinfo, [thing.file])
        path = f"/{(under or thing.path).hash_part}.narinfo"
        self.answers[path] = (200, verified.narinfo((key.sign(verified),)).render())


@contextmanager
def serving() -> Iterator[Cache]:
    cache = Cache()
    thread = threading.Thread(target=cache.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield cache
    finally:
        cache.server.shutdown()
        cache.server.server_close()
        thread.join()


@pytest.fixture
def cache() -> Iterator[Cache]:
    with serving() as running:
        yield running


def test_a_reference_in_a_trusted_upstream_is_present_and_asked_for_once(
    aws: Aws, cache: Cache, builder: Builder
) -> None:
    """I4."""
    world = World(aws, upstreams=(cache.upstream,))
    libc = builder.build("libc")
    cache.publish(libc)
    container = world.container()
    for name in ("one", "two"):
        thing = builder.build(name, [libc])
        world.submit(thing)
        world.run(container)
        assert world.verdict(thing.path) == Published((KEY.name,))
    assert cache.asked == [f"/{libc.path.hash_part}.narinfo"]
    assert world.published(libc.path) is None


def test_an_upstream_may_have_the_name_that_another_has_here(aws: Aws, cache: Cache, builder: Builder) -> None:
    """I4: what a client then gets from the upstream is what is referenced."""
    world = World(aws, upstreams=(cache.upstream,))
    leaf = builder.build("leaf")
    renamed = leaf.claiming(store_path=StorePath(leaf.path.hash_part, "stone"))
    cache.publish(renamed)
    world.submit(leaf)
    top = builder.build("top", [renamed])
    world.submit(top)
    world.run()
    assert world.verdict(top.path) == Published((KEY.name,))


@pytest.mark.parametrize("lie", ["another key", "no signature", "another path", "garbage", "too long", "forbidden"])
def test_what_an_upstream_cannot_vouch_for_is_absent(aws: Aws, cache: Cache, builder: Builder, lie: str) -> None:
    world = World(aws, upstreams=(cache.upstream,))
    libc = builder.build("libc")
    path = f"/{libc.path.hash_part}.narinfo"
    if lie == "another key":
        cache.publish(libc, SecretKey.generate(UPSTREAM_KEY.name))
    elif lie == "another path":
        cache.publish(builder.build("other"), under=libc.path)
    else:
        cache.answers[path] = {
            "no signature": (200, libc.narinfo.render()),
            "garbage": (200, b"<html>captive portal</html>"),
            "too long": (200, b"x" * (MAX_NARINFO_SIZE + 1)),
            "forbidden": (403, b""),
        }[lie]
    top = builder.build("top", [libc])
    world.submit(top)
    world.run()
    assert world.verdict(top.path) == Waiting((libc.path,))
    assert set(cache.asked) == {path}


@pytest.mark.parametrize("status", [500, 503, 429, 400, 301])
def test_an_upstream_that_does_not_answer_is_no_verdict(aws: Aws, cache: Cache, builder: Builder, status: int) -> None:
    """Neither accepted nor rejected; and an answer to come back in an hour does not hold the function for an hour."""
    world = World(aws, upstreams=(cache.upstream,))
    libc = builder.build("libc")
    cache.answers[f"/{libc.path.hash_part}.narinfo"] = (status, b"")
    top = builder.build("top", [libc])
    world.submit(top)
    messages = world.take_messages()
    container = world.container()
    assert container(sqs_event(*messages)) == messages
    assert world.keys(world.settings.ledger_bucket) == []
    cache.publish(libc)
    assert container(sqs_event(*messages)) == []
    assert world.verdict(top.path) == Published((KEY.name,))


def test_an_upstream_that_is_down_is_no_verdict_unless_another_has_the_path(cache: Cache, builder: Builder) -> None:
    libc = builder.build("libc")
    with serving() as gone:
        down = gone.upstream
    both = HttpUpstreams((down, cache.upstream), NIX_STORE, connections=2)
    with pytest.raises(TransientError):
        both.references(libc.path)
    cache.publish(libc)
    assert both.references(libc.path) == ()


def test_an_absence_is_never_remembered(aws: Aws, cache: Cache, builder: Builder) -> None:
    """I6: the same container that found a path absent finds it the moment that it is there."""
    world = World(aws, upstreams=(cache.upstream,))
    libc = builder.build("libc")
    top = builder.build("top", [libc])
    world.submit(top)
    messages = world.take_messages()
    clients = connect(aws)

    def publish(_: int, operation: str) -> None:
        if operation == "PutObject":
            cache.publish(libc)

    RequestsLog(clients, before=publish)
    assert world.container(clients)(sqs_event(*messages)) == []
    assert world.verdict(top.path) == Published((KEY.name,))
    assert world.keys(world.settings.ledger_bucket, "waiting/") == []
