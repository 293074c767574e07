"""Trusted upstreams: other binary caches, asked over HTTP, believed only under their configured keys."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final

import urllib3
from urllib3.exceptions import HTTPError

from lambdas.ingest.ports import UpstreamNarInfo
from nixcache.errors import PermanentError, TransientError
from nixcache.narinfo import MAX_NARINFO_SIZE, NarInfo
from nixcache.store_path import StoreDir, StorePath
from protocol.keys import CacheNarInfoKey
from protocol.settings import Upstream

ABSENT: Final = frozenset((HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.GONE))
"""403 is how an S3 bucket that may not be listed says 404."""
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 60.0
"""For one narinfo, attempts and all. The others begin anew with each byte: an upstream that drips would never end."""
_ATTEMPTS = urllib3.Retry(
    total=3,
    backoff_factor=0.2,
    status_forcelist=(429, 500, 502, 503, 504),
    raise_on_status=False,
    # An answer that asks to come back in an hour would hold the whole function for an hour: the queue does the waiting.
    respect_retry_after_header=False,
)


class HttpUpstreams:
    """Any number of upstreams."""

    def __init__(self, upstreams: Sequence[Upstream], store_dir: StoreDir, *, connections: int) -> None:
        """Ask ``upstreams`` in their order, over at most ``connections`` connections kept open to each."""
        self._upstreams = upstreams
        self._store_dir = store_dir
        self._http = urllib3.PoolManager(
            maxsize=connections, timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS), retries=_ATTEMPTS
        )
        # Each has its own threads: one that holds all of its own keeps nobody from asking the others.
        self._threads = {upstream: ThreadPoolExecutor(connections) for upstream in upstreams}

    def find(self, path: StorePath) -> UpstreamNarInfo | None:
        """See :class:`lambdas.ingest.ports.Upstreams`. One that is down is no answer, unless another has the path."""
        failure: TransientError | None = None
        for upstream in self._upstreams:
            try:
                narinfo = self._find(upstream, path)
            except TransientError as error:
                failure = error
            else:
                if narinfo is not None:
                    return UpstreamNarInfo(upstream.url, narinfo)
        if failure is not None:
            raise failure
        return None

    def _find(self, upstream: Upstream, path: StorePath) -> NarInfo | None:
        data = self._fetch(upstream, f"{upstream.url}/{CacheNarInfoKey(path.hash_part)}")
        if data is None:
            return None
        try:
            narinfo = NarInfo.parse(data, self._store_dir)
        except PermanentError:
            return None  # clients could not use it either
        if narinfo.store_path != path or not narinfo.signatures_by(upstream.public_keys):
            return None
        return narinfo

    def _fetch(self, upstream: Upstream, url: str) -> bytes | None:
        getting = self._threads[upstream].submit(self._get, url)
        try:
            return getting.result(ANSWER_SECONDS)
        except TimeoutError:
            getting.cancel()
            raise TransientError(
                f"{url} does not answer within {ANSWER_SECONDS:.0f} seconds.", remedy="It is tried again."
            ) from None

    def _get(self, url: str) -> bytes | None:
        try:
            answer = self._http.request(
                "GET",
                url,
                headers={"Cache-Control": "no-cache"},
                preload_content=False,
                # It could lead anywhere that this function can reach, Lambda's own interface among it.
                redirect=False,
            )
            try:
                data = answer.read(MAX_NARINFO_SIZE + 1)
            finally:
                answer.close()
        except HTTPError as error:
            raise TransientError(f"{url} cannot be fetched: {error}.", remedy="It is tried again.") from error
        if answer.status == HTTPStatus.OK:
            return data
        if answer.status in ABSENT:
            return None
        raise TransientError(f"{url} answers {answer.status}.", remedy="It is tried again.")
