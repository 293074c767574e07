"""Which store paths need no upload: a narinfo of theirs is in the cache, or in an upstream.

The narinfo itself is read: a captive portal, a sign-in page and a CDN with an error page of its own also answer 200,
and each of them would empty the queue without an upload.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import urllib3

from hook.errors import Cause, Trouble
from hook.redaction import without_password
from nixcache.errors import PermanentError
from nixcache.narinfo import MAX_NARINFO_SIZE, NarInfo
from protocol.keys import CacheNarInfoKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nixcache.store_path import HashPart, StoreDir, StorePath

WORKERS: Final = 16
"""Look-ups at once."""
CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 30.0
RETRIES: Final = 3
"""Of one request, where an answer or its absence may be passing."""
_CA_BUNDLES: Final = ("AWS_CA_BUNDLE", "NIX_SSL_CERT_FILE", "SSL_CERT_FILE")
"""The first that is set counts: one bundle for S3 and the caches, or Nix's own, or OpenSSL's."""
_CONNECTION: Final = re.compile(r"^HTTPS?Connection(?:Pool)?\([^()]*\): ")
"""What urllib3 begins with: the host and the port, which the address names already."""
# S3 answers 403 for what is missing unless the caller may list the bucket, and the public may not.
_ABSENT: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.GONE)


class NarInfoLookup:
    """Looks narinfos up in the cache first, and in the upstreams only for what the cache lacks."""

    def __init__(
        self,
        cache_url: str,
        upstreams: tuple[str, ...],
        store_dir: StoreDir,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        retries: int = RETRIES,
    ) -> None:
        self._retries = retries
        self._urls = (cache_url, *upstreams)
        self._store_dir = store_dir
        self._timeout = urllib3.Timeout(connect=connect_seconds, read=read_seconds)
        self._ca_bundle = _ca_bundle(os.environ)
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._pools_lock = Lock()

    def __enter__(self) -> Self:
        """Keep connections open until the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close them."""
        for pool in self._pools.values():
            pool.clear()

    def present(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """Return those of ``paths`` that are published; raises :class:`Trouble` where that cannot be told."""
        missing = set(paths)
        found: set[StorePath] = set()
        with ThreadPoolExecutor(WORKERS) as pool:
            for url in self._urls:
                asked = sorted(missing)
                answers = pool.map(lambda path, url=url: self._has(url, path), asked)
                here = {path for path, has in zip(asked, answers, strict=True) if has}
                found |= here
                missing -= here
        return found

    def find(self, url: str, hash_part: HashPart) -> NarInfo | None:
        """Return the narinfo that the cache at ``url`` has for ``hash_part``; raises :class:`Trouble`."""
        address = f"{without_password(url)}/{CacheNarInfoKey(hash_part)}"
        body = self.get(url, str(CacheNarInfoKey(hash_part)))
        return None if body is None else self._parse(body, address)

    def get(self, url: str, key: str) -> bytes | None:
        """Return a small object of the cache at ``url``, None where it is missing; raises :class:`Trouble`.

        No more than a byte above what a narinfo may have.
        """
        address = f"{without_password(url)}/{key}"
        try:
            pool = self._pool(url)
            # no-cache: a remembered 404 here could hide what is published a moment later.
            headers = {"Cache-Control": "no-cache"} | _authorization(url)
            with pool.request("GET", f"{url}/{key}", headers=headers, preload_content=False) as response:
                body = response.read(MAX_NARINFO_SIZE + 1)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            said = _sentence(reason, url, _proxy(url))
            raise Trouble(Cause.NETWORK, f"{address} cannot be reached: {said}", remedy=_remedy(reason)) from error
        except ValueError:
            # Its text would repeat the URL.
            raise Trouble(Cause.SERVICE, f"{address} is no URL.", remedy="Check cache_url and upstreams.") from None
        if response.status == HTTPStatus.OK:
            return body
        if response.status in _ABSENT:
            return None
        remedy = (
            "Write user and password into cache_url or the upstream's URL: https://user:password@host."
            if response.status == HTTPStatus.UNAUTHORIZED
            else "Check cache_url and upstreams."
        )
        raise Trouble(_cause(response.status), f"{address} answered {response.status}.", remedy=remedy)

    def _has(self, url: str, path: StorePath) -> bool:
        narinfo = self.find(url, path.hash_part)
        return narinfo is not None and narinfo.store_path == path

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Return the connections to ``url``: through the proxy that the environment names for it, or straight."""
        proxy = _proxy(url)
        with self._pools_lock:
            if proxy not in self._pools:
                self._pools[proxy] = self._new_pool(proxy)
            return self._pools[proxy]

    def _new_pool(self, proxy: str | None) -> urllib3.PoolManager:
        retries = urllib3.Retry(
            total=self._retries,
            backoff_factor=0.3,
            raise_on_status=False,
            status_forcelist=(429, 500, 502, 503, 504),
            # An answer that asks to come back in an hour would hold up everything: the queue does the waiting.
            respect_retry_after_header=False,
        )
        if proxy is None:
            return urllib3.PoolManager(
                maxsize=WORKERS, timeout=self._timeout, retries=retries, ca_certs=self._ca_bundle
            )
        user = urllib3.util.parse_url(proxy).auth
        return urllib3.ProxyManager(
            proxy,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=unquote(user)) if user else None,
            maxsize=WORKERS,
            timeout=self._timeout,
            retries=retries,
            ca_certs=self._ca_bundle,
        )

    def _parse(self, body: bytes, address: str) -> NarInfo:
        """Read what was answered; one of another name is a narinfo, too, but then nobody has the path itself."""
        try:
            return NarInfo.parse(body, self._store_dir)
        except PermanentError as error:
            raise Trouble(
                Cause.NETWORK,
                f"{address} answered 200, but not with a narinfo: {error.problem}",
                remedy="Check cache_url and upstreams, and whether a portal or a sign-in page answers in their place.",
            ) from error


def _authorization(url: str) -> dict[str, str]:
    """Return the header for the user and password in ``url``, which urllib3 reads and leaves out."""
    user = urllib3.util.parse_url(url).auth
    return urllib3.make_headers(basic_auth=unquote(user)) if user else {}


def _proxy(url: str) -> str | None:
    """Return the proxy that ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` (either case) name for ``url``."""
    parts = urlsplit(url)
    proxies = getproxies_environment()
    if proxies and proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _ca_bundle(environ: Mapping[str, str]) -> str | None:
    return next((environ[name] for name in _CA_BUNDLES if environ.get(name)), None)


def _cause(status: int) -> Cause:
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return Cause.THROTTLED
    return Cause.NETWORK if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Cause.SERVICE


def _remedy(reason: object) -> str:
    if isinstance(reason, urllib3.exceptions.ProxyError):
        return "Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY."
    if isinstance(reason, urllib3.exceptions.SSLError):
        return "Check AWS_CA_BUNDLE, NIX_SSL_CERT_FILE and SSL_CERT_FILE, and this machine's clock."
    return "Check the network, and cache_url and upstreams."


def _sentence(reason: object, *urls: str | None) -> str:
    said = _CONNECTION.sub("", str(reason), count=1)
    for url in filter(None, urls):
        # urllib3 repeats a URL that it cannot parse.
        said = said.replace(url, without_password(url))
    return f"{' '.join(said.split()).rstrip('.')}."
