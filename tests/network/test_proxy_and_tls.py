"""Companies: the way out is a proxy, and TLS is vouched for by an authority of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hook.exit_code import ExitCode
from tests.network.authority import server_context
from tests.network.conftest import Site, address
from tests.network.gateway import LOOPBACK, Gateway

_LIMITED = ("--timeout", "60")


@dataclass(frozen=True)
class Company:
    """Addresses that nobody reaches directly, and the proxy that does."""

    s3: str
    cache: str
    proxy: Gateway


@pytest.fixture
def company(site: Site) -> Iterator[Company]:
    """A site behind a proxy: directly, every connection is refused."""
    s3, cache = Gateway(site.s3.upstream), Gateway(site.cache.upstream)
    routes = {f"{LOOPBACK}:{s3.port}": s3.upstream, f"{LOOPBACK}:{cache.port}": cache.upstream}
    with Gateway(s3.upstream, routes=routes) as proxy:
        # Neither of the two is entered: their ports are held, and nobody listens.
        site.builder.configure(AWS_ENDPOINT_URL=s3.url, ASSAY_CACHE_URL=cache.url)
        yield Company(s3.url, cache.url, proxy)
    for unreachable in (s3, cache):
        unreachable.__exit__()


@pytest.mark.usefixtures("judging")
def test_where_a_proxy_is_the_only_way_out_everything_takes_it(site: Site, company: Company) -> None:
    path = site.build("through-a-proxy")
    ended = site.builder.assay("upload", "--once", *_LIMITED)
    assert ended.code == ExitCode.TROUBLE
    assert site.is_kept(path)
    assert company.proxy.connections == 0
    site.builder.configure(HTTP_PROXY=company.proxy.url, http_proxy=company.proxy.url)
    ended = site.builder.assay("upload", "--once", *_LIMITED)
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    asked = {seen.authority for seen in company.proxy.seen}
    assert {f"{LOOPBACK}:{address(url)[1]}" for url in (company.s3, company.cache)} == asked
    assert site.is_clear()


def test_no_proxy_is_obeyed(site: Site, company: Company) -> None:
    site.build("around-a-proxy")
    site.builder.configure(http_proxy=company.proxy.url, HTTP_PROXY=company.proxy.url)
    site.builder.configure(no_proxy=LOOPBACK, NO_PROXY=LOOPBACK)
    assert site.builder.assay("upload", "--once", *_LIMITED).code == ExitCode.TROUBLE
    assert company.proxy.connections == 0


def test_a_proxy_that_is_down_is_named(site: Site, company: Company) -> None:
    path = site.build("proxy-down")
    site.builder.configure(http_proxy=company.proxy.url, HTTP_PROXY=company.proxy.url)
    with company.proxy.refusing():
        ended = site.builder.assay("upload", "--once", *_LIMITED)
    assert ended.code == ExitCode.TROUBLE
    assert ended.err.count("\n") == 1
    assert "proxy" in ended.err.lower()
    assert site.is_kept(path)


@pytest.mark.usefixtures("judging")
@pytest.mark.parametrize("through_a_proxy", [False, True], ids=["directly", "through-a-proxy"])
def test_an_authority_of_its_own_is_trusted_when_it_is_named(
    site: Site, tmp_path: Path, *, through_a_proxy: bool
) -> None:
    context, bundle = server_context(tmp_path)
    with (
        Gateway(site.s3.upstream, tls=context) as s3,
        Gateway(site.cache.upstream, tls=context) as cache,
        Gateway(address(s3.url), routes={f"{LOOPBACK}:{cache.port}": address(cache.url)}) as proxy,
    ):
        site.builder.configure(AWS_ENDPOINT_URL=s3.url, ASSAY_CACHE_URL=cache.url)
        if through_a_proxy:
            site.builder.configure(https_proxy=proxy.url, HTTPS_PROXY=proxy.url)
        path = site.build("private-ca")
        ended = site.builder.assay("upload", "--once", *_LIMITED)
        assert ended.code == ExitCode.TROUBLE
        assert ended.err.count("\n") == 1
        assert "certificate" in ended.err.lower()
        assert "AWS_CA_BUNDLE" in ended.err
        assert site.is_kept(path)
        assert (s3.seen, cache.seen) == ([], []), "nothing is said to whom nobody vouches for"
        site.builder.configure(AWS_CA_BUNDLE=str(bundle))
        ended = site.builder.assay("upload", "--once", *_LIMITED)
        assert (ended.code, ended.err) == (ExitCode.DONE, "")
        assert site.is_clear()
        assert (proxy.connections > 0) is through_a_proxy
