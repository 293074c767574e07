"""Which paths need no upload, asked over real HTTP."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hook.errors import Cause, Trouble
from hook.lookup import NarInfoLookup, _ca_bundle
from nixcache.errors import TransientError
from nixcache.narinfo import MAX_NARINFO_SIZE
from nixcache.store_path import NIX_STORE, StorePath

PATHS = [StorePath.from_base_name(f"{number:032d}-x") for number in range(40)]


def _narinfo(path: StorePath) -> bytes:
    return (
        f"StorePath: {NIX_STORE.render(path)}\nURL: nar/x.nar\nCompression: none\n"
        f"NarHash: sha256:{'0' * 52}\nNarSize: 120\nReferences: \n"
    ).encode()


class _Cache:
    """Answers with what ``statuses`` says of a path (404 by default), 200 with ``body`` or its narinfo, and counts."""

    def __init__(
        self, statuses: dict[StorePath, list[int]], body: bytes | None, proxied: dict[str, tuple[StorePath, list[int]]]
    ) -> None:
        self.asked: Counter[str] = Counter()
        self.authorized: set[str | None] = set()
        self.passwords: set[str | None] = set()
        by_name = {f"/sub/{path.hash_part}.narinfo": (path, list(answers)) for path, answers in statuses.items()}
        by_name |= proxied
        cache = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cache.asked[self.path] += 1
                cache.authorized.add(self.headers["Proxy-Authorization"])
                cache.passwords.add(self.headers["Authorization"])
                path, answers = by_name.get(self.path, (PATHS[0], [404]))
                status = answers[0] if len(answers) == 1 else answers.pop(0)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"{cache.url}/{PATHS[1].hash_part}.narinfo")
                self.end_headers()
                if status == 200:
                    with suppress(ConnectionError):
                        self.wfile.write(_narinfo(path) if body is None else body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/sub"


@contextmanager
def _serving(
    statuses: dict[StorePath, list[int]],
    *,
    body: bytes | None = None,
    proxied: dict[str, tuple[StorePath, list[int]]] | None = None,
) -> Iterator[_Cache]:
    cache = _Cache(statuses, body, proxied or {})
    thread = threading.Thread(target=cache.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield cache
    finally:
        cache.server.shutdown()
        thread.join()
        cache.server.server_close()


def _present(*urls: str, paths: list[StorePath]) -> set[StorePath]:
    with NarInfoLookup(urls[0], urls[1:], NIX_STORE) as lookup:
        return lookup.present(paths)


def test_present_is_what_the_cache_answers_with_a_narinfo_for() -> None:
    with _serving({path: [200] for path in PATHS[:25]}) as cache:
        assert _present(cache.url, paths=PATHS) == set(PATHS[:25])
        assert set(cache.asked.values()) == {1}
        assert len(cache.asked) == 40


def test_a_cache_for_some_readers_is_asked_with_the_password_of_its_url() -> None:
    with _serving({PATHS[0]: [200]}) as cache:
        assert _present(cache.url.replace("//", "//ci%40work:p%3Aw@"), paths=PATHS[:1]) == {PATHS[0]}
        assert _present(cache.url, paths=PATHS[:1]) == {PATHS[0]}
        assert cache.passwords == {"Basic Y2lAd29yazpwOnc=", None}


@pytest.mark.parametrize("status", [403, 404, 410])
def test_missing_is_missing_however_the_cache_says_it(status: int) -> None:
    with _serving({PATHS[0]: [status]}) as cache:
        assert _present(cache.url, paths=PATHS[:1]) == set()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html>\n",
        _narinfo(PATHS[0]).replace(b"/nix/store", b"/gnu/store"),
        _narinfo(PATHS[0])[:-20],
        _narinfo(PATHS[0]) + b"X: x\n" * (MAX_NARINFO_SIZE // 5),
        _narinfo(PATHS[0]) * 40_000,
    ],
    ids=["empty", "page", "other store dir", "cut off", "too large", "endless"],
)
def test_i9_a_200_that_is_no_narinfo_is_trouble_in_one_line(body: bytes) -> None:
    """A captive portal or a CDN's error page must not count as published, nor as missing."""
    with _serving({PATHS[0]: [200]}, body=body) as cache, pytest.raises(TransientError) as caught:
        _present(cache.url, paths=PATHS[:1])
    assert f"{cache.url}/{PATHS[0].hash_part}.narinfo answered 200, but not with a narinfo" in caught.value.problem
    assert "cache_url" in caught.value.remedy
    assert "\n" not in str(caught.value)


def test_a_narinfo_of_another_name_is_not_the_path() -> None:
    """Anybody may have published another name under this hash part; the path is uploaded, and gets its own verdict."""
    with _serving({PATHS[0]: [200]}, body=_narinfo(PATHS[1])) as cache:
        assert _present(cache.url, paths=PATHS[:1]) == set()


def test_a_redirect_counts_only_by_what_it_leads_to() -> None:
    portal = _serving({PATHS[0]: [302], PATHS[1]: [200]}, body=b"<p>Sign in</p>\n")
    with portal as there, pytest.raises(TransientError, match="answered 200"):
        _present(there.url, paths=PATHS[:1])
    with _serving({PATHS[0]: [302], PATHS[1]: [200]}, body=_narinfo(PATHS[0])) as mirror:
        assert _present(mirror.url, paths=PATHS[:1]) == {PATHS[0]}


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
    assert "HTTPConnection" not in caught.value.problem, "that is for people"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (429, Cause.THROTTLED),
        (503, Cause.THROTTLED),
        (500, Cause.NETWORK),
        (502, Cause.NETWORK),
        (400, Cause.SERVICE),
        (401, Cause.SERVICE),
    ],
)
def test_trouble_says_how_long_to_wait(status: int, cause: Cause) -> None:
    with _serving({PATHS[0]: [status]}) as cache, pytest.raises(Trouble) as caught:
        _present(cache.url, paths=PATHS[:1])
    assert caught.value.cause is cause


def test_a_cache_that_hangs_is_trouble_in_bounded_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            NarInfoLookup(url, (), NIX_STORE, read_seconds=0.05) as lookup,
            pytest.raises(Trouble, match="timed out") as caught,
        ):
            lookup.present(PATHS[:1])
    assert caught.value.cause is Cause.NETWORK


def test_a_look_up_goes_through_the_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy here answers by itself; an address that no name server knows shows that it was asked."""
    url = f"http://cache.invalid/sub/{PATHS[0].hash_part}.narinfo"
    with _serving({}, proxied={url: (PATHS[0], [200])}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/sub").replace("//", "//user:p%40ss@"))
        assert _present("http://cache.invalid/sub", paths=PATHS[:1]) == {PATHS[0]}
        assert proxy.asked == {url: 1}
        assert proxy.authorized == {"Basic dXNlcjpwQHNz"}


def test_no_proxy_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with _serving({PATHS[0]: [200]}) as cache:
        assert _present(cache.url, paths=PATHS[:1]) == {PATHS[0]}


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(Trouble) as caught:
            _present("http://cache.invalid", paths=PATHS[:1])
    assert caught.value.cause is Cause.NETWORK
    assert "HTTP_PROXY" in caught.value.remedy


@pytest.mark.parametrize("kind", ["status", "page", "refused", "no host", "no port", "proxy"])
def test_no_error_shows_a_password(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors go to the logs of CI jobs, into `assay status`, and into tickets."""
    with _serving({PATHS[0]: [401 if kind == "status" else 200]}, body=b"page") as cache, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://me:hunter2@127.0.0.1:{closed.getsockname()[1]}"
        url = cache.url.replace("//", "//me:hunter2@")
        if kind == "refused":
            url = dead
        elif kind == "no host":
            url = "http://me:hunter2@[cache.invalid"
        elif kind == "no port":
            url = "http://me:hunter2@cache.invalid:99999999"
        elif kind == "proxy":
            monkeypatch.setenv("http_proxy", dead)
            monkeypatch.setenv("no_proxy", "")
        with pytest.raises(Trouble) as caught, NarInfoLookup(url, (), NIX_STORE, retries=0) as lookup:
            lookup.present(PATHS[:1])
    said = str(caught.value)
    assert "hunter2" not in said
    assert "me:" not in said
    assert f"/{PATHS[0].hash_part}.narinfo" in said


def test_a_ca_bundle_is_taken_from_whoever_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_CA_BUNDLE", "NIX_SSL_CERT_FILE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert _ca_bundle({}) is None
    assert _ca_bundle({"SSL_CERT_FILE": "ssl"}) == "ssl"
    assert _ca_bundle({"SSL_CERT_FILE": "ssl", "NIX_SSL_CERT_FILE": "nix"}) == "nix"
    assert _ca_bundle({"AWS_CA_BUNDLE": "aws", "NIX_SSL_CERT_FILE": "nix"}) == "aws"


def test_nothing_is_asked_about_nothing() -> None:
    assert _present("http://127.0.0.1:1", paths=[]) == set()
