"""A builder that reaches its S3 through one gateway and its cache through another, each of which fails as told."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from urllib3 import HTTPConnectionPool, Timeout

from hook import gc_roots
from local.aws import Aws
from nixcache.store_path import StorePath
from tests.hook.builder import Builder
from tests.hook.nix import Nix, derivation
from tests.hook.service import Service
from tests.network.gateway import Address, Gateway
from tests.network.seen import State, state

_numbers = count()

Impatient = Callable[[Gateway], AbstractContextManager[None]]


@dataclass(frozen=True)
class Site:
    """A builder's machine and its two ways out."""

    builder: Builder
    service: Service
    s3: Gateway
    cache: Gateway

    def build(self, name: str, *, size: int = 100) -> StorePath:
        """Build a path of ``size`` random bytes, with the hook; the build succeeds, or the test fails (I9)."""
        script = f"/usr/bin/head -c {size} /dev/urandom > $out"
        # The tests share a store: what is built there already would not be built again, and no hook would run.
        unique = f"{name}-{next(_numbers)}"
        (path,) = self.builder.nix.build(derivation(unique, script), hook=self.builder.install_hook())
        assert self.state()[path].state == "queued"
        return path

    def state(self) -> dict[StorePath, State]:
        """Return what ``assay status --json`` shows of each path."""
        return state(self.builder)

    def is_kept(self, path: StorePath) -> bool:
        """Whether ``path`` is queued, rooted, and outlives a garbage collection (I9)."""
        self.builder.nix.collect_garbage()
        rooted = path.base_name in gc_roots.rooted(self.builder.state_dir)
        return rooted and path in self.state() and self.builder.nix.has(path)

    def is_clear(self) -> bool:
        """Whether nothing is left over anywhere: no entry, no root, no multipart upload."""
        return (
            not self.state()
            and gc_roots.rooted(self.builder.state_dir) == {}
            and self.service.unfinished_uploads() == 0
        )


def address(url: str) -> Address:
    """Return where ``url``'s server listens."""
    split = urlsplit(url)
    assert split.hostname
    assert split.port
    return split.hostname, split.port


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Nix:
    return Nix(tmp_path_factory.mktemp("nix") / "nix")


@pytest.fixture
def service(aws: Aws) -> Iterator[Service]:
    with Service(aws) as service:
        yield service


@pytest.fixture
def site(
    store: Nix,
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Site]:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with Gateway(address(service.aws.endpoint)) as s3, Gateway(address(service.cache_url)) as cache:
        builder = Builder(store, service, tmp_path / "assay", monkeypatch, capfd)
        builder.configure(AWS_ENDPOINT_URL=s3.url, ASSAY_CACHE_URL=cache.url)
        yield Site(builder, service, s3, cache)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def judging(store: Nix, service: Service) -> Iterator[None]:
    """A service that publishes whatever is submitted; it has a way to S3 of its own."""
    with service.judging(store.store_dir):
        yield


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Impatient:
    """Let this process give up a gateway that hangs after a moment, where a builder waits a minute.

    For the length of a block in which that one answers nothing anyhow; the others have all the time that they need. So
    how fast a machine is decides about nothing.
    """

    @contextmanager
    def impatient(hanging: Gateway) -> Iterator[None]:
        usual = HTTPConnectionPool._get_timeout

        def timeout(pool: HTTPConnectionPool, asked_for: Timeout | float | None) -> Timeout:
            wanted: Timeout = usual(pool, asked_for)
            return Timeout(connect=wanted.connect_timeout, read=0.2) if pool.port == hanging.port else wanted

        with monkeypatch.context() as patch:
            patch.setattr(HTTPConnectionPool, "_get_timeout", timeout)
            yield

    return impatient


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process try again at once, how often ever it may."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", _at_once)
    monkeypatch.setattr("urllib3.Retry.get_backoff_time", _at_once)
    monkeypatch.setattr("hook.verdict_watch.delay", _at_once)


def _at_once(*_: object) -> float:
    return 0.0
