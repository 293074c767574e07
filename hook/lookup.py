"""Which store paths need no upload: a narinfo of theirs is in the cache, or in an upstream.

The narinfo itself is read: a captive portal, a sign-in page and a CDN with an error page of its own also answer 200,
and each of them would empty the queue without an upload.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

import urllib3

from nixcache.errors import PermanentError, TransientError
from nixcache.narinfo import MAX_NARINFO_SIZE, NarInfo
from protocol.keys import CacheNarInfoKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nixcache.store_path import StoreDir, StorePath

WORKERS: Final = 16
"""Look-ups at once."""
# S3 answers 403 for what is missing unless the caller may list the bucket, and the public may not.
_ABSENT: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.GONE)


class NarInfoLookup:
    """Looks narinfos up in the cache first, and in the upstreams only for what the cache lacks."""

    def __init__(self, cache_url: str, upstreams: tuple[str, ...], store_dir: StoreDir) -> None:
        self._urls = (cache_url, *upstreams)
        self._store_dir = store_dir
        self._http = urllib3.PoolManager(
            maxsize=WORKERS,
            timeout=urllib3.Timeout(connect=10, read=30),
            retries=urllib3.Retry(
                total=3,
                backoff_factor=0.3,
                raise_on_status=False,
                status_forcelist=(429, 500, 502, 503, 504),
                # An answer that asks to come back in an hour would hold up everything: the queue does the waiting.
                respect_retry_after_header=False,
            ),
        )

    def __enter__(self) -> Self:
        """Keep connections open until the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close them."""
        self._http.clear()

    def present(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """Return those of ``paths`` that are published; raises :class:`TransientError` where that cannot be told."""
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

    def _has(self, url: str, path: StorePath) -> bool:
        address = f"{url}/{CacheNarInfoKey(path.hash_part)}"
        try:
            # no-cache: a remembered 404 here could hide what is published a moment later.
            headers = {"Cache-Control": "no-cache"}
            with self._http.request("GET", address, headers=headers, preload_content=False) as response:
                body = response.read(MAX_NARINFO_SIZE + 1)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise TransientError(
                f"{address} cannot be reached: {reason}.", remedy="Check the network, and cache_url and upstreams."
            ) from error
        if response.status == HTTPStatus.OK:
            return self._parse(body, address).store_path == path
        if response.status in _ABSENT:
            return False
        raise TransientError(f"{address} answered {response.status}.", remedy="Check cache_url and upstreams.")

    def _parse(self, body: bytes, address: str) -> NarInfo:
        """Read what was answered; one of another name is a narinfo, too, but then nobody has the path itself."""
        try:
            return NarInfo.parse(body, self._store_dir)
        except PermanentError as error:
            raise TransientError(
                f"{address} answered 200, but not with a narinfo: {error.problem}",
                remedy="Check cache_url and upstreams, and whether a portal or a sign-in page answers in their place.",
            ) from error
