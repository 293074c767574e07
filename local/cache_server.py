"""The cache bucket over HTTP on loopback, as the CDN would serve it: GET and HEAD, streamed, no answer remembered."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody

from local.aws import LOOPBACK

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK = 1024 * 1024
_IDLE_SECONDS = 60


class CacheServer:
    """Serves one bucket for the length of a ``with`` block; it remembers neither what it found nor what it did not."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """``s3`` needs no more than GetObject on ``bucket``."""
        self._server = _Server(s3, bucket)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1})

    @property
    def url(self) -> str:
        """What goes into nix.conf's ``substituters``."""
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Start to answer."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; a transfer that still runs ends with the process."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True, slots=True)
class _Found:
    content_type: str
    content_length: int
    etag: str
    body: StreamingBody | None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # http.server's is 5: a client that opens more connections at once waits a second for TCP to try again.
    request_queue_size = 128

    def __init__(self, s3: S3Client, bucket: str) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.s3 = s3
        self.bucket = bucket

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when either side went away in the middle of a transfer."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError, BotoCoreError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Assay", ""
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        """Send an object."""
        self._serve(self._open)

    def do_HEAD(self) -> None:
        """Send an object's headers."""
        self._serve(self._look_up)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing of the ordinary."""

    def _open(self, key: str) -> _Found:
        found = self.server.s3.get_object(Bucket=self.server.bucket, Key=key)
        return _Found(found["ContentType"], found["ContentLength"], found["ETag"], found["Body"])

    def _look_up(self, key: str) -> _Found:
        found = self.server.s3.head_object(Bucket=self.server.bucket, Key=key)
        return _Found(found["ContentType"], found["ContentLength"], found["ETag"], None)

    def _serve(self, find: Callable[[str], _Found]) -> None:
        key = unquote(urlsplit(self.path).path).removeprefix("/")
        if not key:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        try:
            found = find(key)
        except ClientError as error:
            missing = error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND
            self._refuse(HTTPStatus.NOT_FOUND if missing else HTTPStatus.BAD_GATEWAY)
            return
        except BotoCoreError:
            self._refuse(HTTPStatus.BAD_GATEWAY)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", found.content_type)
        self.send_header("Content-Length", str(found.content_length))
        self.send_header("ETag", found.etag)
        self.end_headers()
        if found.body:
            # closing(): as a context manager itself, a StreamingBody hands out what it wraps.
            with closing(found.body) as body:
                for chunk in body.iter_chunks(_CHUNK):
                    self.wfile.write(chunk)

    def _refuse(self, status: HTTPStatus) -> None:
        answer = f"{status.phrase}\n".encode()
        self.send_response(status)
        # A path that is missing now may be published in a second.
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)
