"""Trusted upstreams: a reference counts as present when an upstream vouches for it under its own key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
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
from protocol.verdicts import Against, Conflict, Duplicate, Published, Waiting
from tests.ingest.requests_log import RequestsLog
from tests.ingest.store_objects import Builder, StoreObject
from tests.ingest.world import BOB, KEY, World, connect, sqs_event

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


def _asked_for(path: StorePath) -> str:
    return f"/{path.hash_part}.narinfo"


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
    things = [builder.build(name, [libc]) for name in ("one", "two")]
    for thing in things:
        world.submit(thing)
        world.run(container)
        assert world.verdict(thing.path) == Published((KEY.name,))
    one, two = (_asked_for(thing.path) for thing in things)
    assert cache.asked == [one, _asked_for(libc.path), two]
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
    assert set(cache.asked) == {path, _asked_for(top.path)}


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
        both.find(libc.path)
    cache.publish(libc)
    found = both.find(libc.path)
    assert found is not None
    assert (found.url, found.narinfo.nar_hash) == (cache.upstream.url, libc.narinfo.nar_hash)


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


def test_a_path_that_an_upstream_has_is_a_duplicate(aws: Aws, cache: Cache, builder: Builder) -> None:
    """Clients get it there: its NAR is not even read."""
    world = World(aws, upstreams=(cache.upstream,))
    libc = builder.build("libc")
    cache.publish(libc)
    clients = connect(aws)
    log = RequestsLog(clients)
    world.submit(libc)
    world.run(world.container(clients))
    assert world.verdict(libc.path) == Duplicate(cache.upstream.url)
    assert log.operations == ["GetObject", "GetObject", "PutObject", "ListObjectsV2"]
    assert world.keys(world.settings.cache_bucket) == []


def test_the_upstream_is_named_that_has_it(aws: Aws, cache: Cache, builder: Builder) -> None:
    libc = builder.build("libc")
    cache.publish(libc)
    with serving() as empty:
        world = World(aws, upstreams=(empty.upstream, cache.upstream))
        world.submit(libc)
        world.run()
    assert world.verdict(libc.path) == Duplicate(cache.upstream.url)


@pytest.mark.parametrize("difference", ["contents", "references"])
def test_another_object_than_an_upstreams_is_a_conflict(
    aws: Aws, cache: Cache, builder: Builder, difference: str
) -> None:
    """I3: published here, readers would get the one or the other, as their list of substituters goes."""
    world = World(aws, upstreams=(cache.upstream,))
    theirs = builder.build("libc", itself=True)
    mine = builder.build("libc", text="mine") if difference == "contents" else theirs.claiming(references=())
    cache.publish(theirs)
    world.submit(mine)
    world.run()
    expected = Conflict(theirs.narinfo.nar_hash, mine.narinfo.nar_hash, Against.UPSTREAM)
    assert world.verdict(mine.path) == expected
    assert world.result(mine.path).disputed_by == ()
    assert world.keys(world.settings.cache_bucket) == []


@pytest.mark.parametrize("text", ["", "other"], ids=["same", "other"])
def test_an_operator_may_publish_what_an_upstream_has(aws: Aws, cache: Cache, builder: Builder, text: str) -> None:
    """A mirror: the upstream is not asked about what is submitted, only about references."""
    world = World(aws, upstreams=(cache.upstream,))
    world.settings = replace(world.settings, publish_upstream_paths=True)
    libc = builder.build("libc", text=text)
    cache.publish(builder.build("libc"))
    world.submit(libc)
    world.run()
    assert world.verdict(libc.path) == Published((KEY.name,))
    assert cache.asked == []
    world.check_cache()


def test_what_is_published_here_is_compared_with_that(aws: Aws, cache: Cache, builder: Builder) -> None:
    """I3: also when an upstream has got another one since. No request is made of it."""
    world = World(aws, upstreams=(cache.upstream,))
    libc = builder.build("libc")
    world.submit(libc)
    world.run()
    cache.publish(builder.build("libc", text="other"))
    cache.asked.clear()
    world.submit(libc, BOB)
    world.run()
    assert world.verdict(libc.path, BOB) == Duplicate()
    assert cache.asked == []


@pytest.mark.parametrize("lie", ["another key", "no signature", "another path"])
def test_an_upstream_that_cannot_vouch_for_a_path_does_not_keep_it_out(
    aws: Aws, cache: Cache, builder: Builder, lie: str
) -> None:
    """Whoever answers in an upstream's place could otherwise keep anything from being published."""
    world = World(aws, upstreams=(cache.upstream,))
    libc, other = builder.build("libc"), builder.build("other")
    if lie == "another key":
        cache.publish(libc, SecretKey.generate(UPSTREAM_KEY.name))
    elif lie == "another path":
        cache.publish(other, under=libc.path)
    else:
        cache.answers[_asked_for(libc.path)] = (200, libc.narinfo.render())
    world.submit(libc)
    world.run()
    assert world.verdict(libc.path) == Published((KEY.name,))


def test_an_upstream_that_is_down_publishes_nothing(aws: Aws, cache: Cache, builder: Builder) -> None:
    """Neither accepted nor rejected: it may have another object under this path."""
    world = World(aws, upstreams=(cache.upstream,))
    libc = builder.build("libc")
    cache.answers[_asked_for(libc.path)] = (502, b"")
    world.submit(libc)
    messages = world.take_messages()
    assert world.container()(sqs_event(*messages)) == messages
    assert world.keys(world.settings.cache_bucket) == world.keys(world.settings.ledger_bucket) == []
    del cache.answers[_asked_for(libc.path)]
    assert world.container()(sqs_event(*messages)) == []
    assert world.verdict(libc.path) == Published((KEY.name,))


@pytest.mark.parametrize("text", ["", "other"], ids=["duplicate", "conflict"])
def test_who_waits_for_what_has_come_to_an_upstream_is_woken_by_its_submission(
    aws: Aws, cache: Cache, builder: Builder, text: str
) -> None:
    """I6: the upstream tells nobody; and a builder that submits a closure submits what others wait for, too."""
    world = World(aws, upstreams=(cache.upstream,))
    libc = builder.build("libc")
    top = builder.build("top", [libc])
    world.submit(top)
    world.run()
    assert world.verdict(top.path) == Waiting((libc.path,))
    cache.publish(libc)
    world.submit(builder.build("libc", text=text), BOB)
    world.run()
    assert world.verdict(top.path) == Published((KEY.name,))
    assert world.keys(world.settings.ledger_bucket, "waiting/") == []
