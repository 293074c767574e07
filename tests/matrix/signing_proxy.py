"""What Debian's Nix and moto lack: requests signed for one identity, and no word about what is missing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningCredentials

from local.aws import LOOPBACK, REGION, Aws, Credentials

_KEPT = ("content-type", "content-encoding", "etag", "x-amz-version-id")


@dataclass(frozen=True)
class SigningProxy:
    """Where to send unsigned requests, and what was sent: method, path, and status of the answer."""

    endpoint: str
    requests: list[tuple[str, str, int]] = field(default_factory=list)


@contextmanager
def signing_proxy(aws: Aws, credentials: Credentials) -> Iterator[SigningProxy]:
    """Sign whatever comes for ``credentials`` and pass it on.

    A 404 becomes a 403, as S3 answers whoever may not list the bucket; moto does not know that.
    """
    signer = S3SigV4Auth(SigningCredentials(credentials.access_key_id, credentials.secret_access_key), "s3", REGION)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on()

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - the base class's names

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() in _KEPT}
            request = AWSRequest(self.command, f"{aws.endpoint}{self.path}", data=body, headers=headers)
            signer.add_auth(request)
            connection = HTTPConnection(urlsplit(aws.endpoint).netloc)
            connection.request(self.command, self.path, body, dict(request.headers.items()))
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            status = HTTPStatus.FORBIDDEN if answer.status == HTTPStatus.NOT_FOUND else HTTPStatus(answer.status)
            proxy.requests.append((self.command, urlsplit(self.path).path, status))
            self.send_response(status)
            for name, value in answer.getheaders():
                if name.lower() in _KEPT:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        proxy = SigningProxy(f"http://{LOOPBACK}:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
