"""Which paths need no upload, asked over real HTTP."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hook.lookup import NarInfoLookup
from nixcache.errors import TransientError
from nixcache.store_path import StorePath

PATHS = [StorePath.from_base_name(f"{number:032d}-x") for number in range(40)]


class _Cache:
    """Answers HEAD with what ``statuses`` says of a path (404 by default), and counts."""

    def __init__(self, statuses: dict[StorePath, list[int]]) -> None:
        self.asked: Counter[str] = Counter()
        self.methods: set[str] = set()
        by_name = {f"/sub/{path.hash_part}.narinfo": list(answers) for path, answers in statuses.items()}
        cache = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                cache.asked[self.path] += 1
                cache.methods.add(self.command)
                answers = by_name.get(self.path, [404])
                self.send_response(answers[0] if len(answers) == 1 else answers.pop(0))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/sub"


@contextmanager
def _serving(statuses: dict[StorePath, list[int]]) -> Iterator[_Cache]:
    cache = _Cache(statuses)
    thread = threading.Thread(target=cache.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield cache
    finally:
        cache.server.shutdown()
        thread.join()
        cache.server.server_close()


def _present(*urls: str, paths: list[StorePath]) -> set[StorePath]:
    with NarInfoLookup(urls[0], urls[1:]) as lookup:
        return lookup.present(paths)


def test_present_is_what_the_cache_answers_200_for() -> None:
    with _serving({path: [200] for path in PATHS[:25]}) as cache:
        assert _present(cache.url, paths=PATHS) == set(PATHS[:25])
        assert set(cache.asked.values()) == {1}
        assert len(cache.asked) == 40


@pytest.mark.parametrize("status", [403, 404, 410])
def test_missing_is_missing_however_the_cache_says_it(status: int) -> None:
    with _serving({PATHS[0]: [status]}) as cache:
        assert _present(cache.url, paths=PATHS[:1]) == set()


def test_upstreams_are_asked_only_for_what_the_cache_lacks() -> None:
    with (
        _serving({PATHS[0]: [200]}) as cache,
        _serving({PATHS[1]: [200]}) as first,
        _serving({PATHS[2]: [200]}) as second,
    ):
        assert _present(cache.url, first.url, second.url, paths=PATHS[:4]) == set(PATHS[:3])
        assert (len(cache.asked), len(first.asked), len(second.asked)) == (4, 3, 2)


@pytest.mark.parametrize("status", [400, 401, 500, 503])
def test_any_other_answer_is_trouble_and_never_taken_for_missing(status: int) -> None:
    """A cache that is down must not make a builder upload the world."""
    with _serving({PATHS[0]: [status]}) as cache, pytest.raises(TransientError, match=f"answered {status}"):
        _present(cache.url, paths=PATHS[:1])


def test_a_cache_that_is_busy_is_asked_again() -> None:
    with _serving({PATHS[0]: [503, 200]}) as cache:
        assert _present(cache.url, paths=PATHS[:1]) == {PATHS[0]}


def test_a_cache_that_cannot_be_reached_is_one_line_with_its_address() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(TransientError) as caught:
            _present(url, paths=PATHS[:1])
    assert url in caught.value.problem
    assert "refused" in caught.value.problem
    assert "\n" not in str(caught.value)


def test_nothing_is_asked_about_nothing() -> None:
    assert _present("http://127.0.0.1:1", paths=[]) == set()
