"""The cache bucket over HTTP, as a Nix client sees it."""

from __future__ import annotations

import http.client
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from local.aws import UNCHECKED, Aws, Credentials
from local.cache_server import CacheServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BIG = 5 * 1024 * 1024 + 1


@dataclass(frozen=True)
class Cache:
    """A bucket and a connection to the server before it."""

    s3: S3Client
    bucket: str
    connection: http.client.HTTPConnection

    def put(self, key: str, body: bytes, content_type: str = "application/x-nix-nar") -> None:
        """Put an object into the bucket."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    def ask(self, method: str, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a request over the one connection."""
        self.connection.request(method, path)
        response = self.connection.getresponse()
        return response, response.read()


@pytest.fixture
def cache(aws: Aws) -> Iterator[Cache]:
    s3 = aws.client("s3", UNCHECKED)
    bucket = f"cache-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    with CacheServer(s3, bucket) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        yield Cache(s3, bucket, connection)
        connection.close()


def test_get_sends_the_object_with_its_type_and_length(cache: Cache) -> None:
    body = bytes(range(256)) * (BIG // 256) + b"\n"
    cache.put("nar/x.nar.zst", body)
    response, received = cache.ask("GET", "/nar/x.nar.zst")
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/x-nix-nar"
    assert response.headers["Content-Length"] == str(len(body))
    assert received == body


def test_head_sends_the_headers_alone_and_the_connection_lives_on(cache: Cache) -> None:
    cache.put("x.narinfo", b"StorePath: x", "text/x-nix-narinfo")
    for _ in range(2):
        response, received = cache.ask("HEAD", "/x.narinfo")
        assert (response.status, received) == (200, b"")
        assert response.headers["Content-Type"] == "text/x-nix-narinfo"
        assert int(response.headers["Content-Length"]) > 0


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/missing.narinfo", "/", "", "/nar/../x", "/%00", "/?list-type=2"])
def test_what_is_not_there_is_a_404_that_nobody_may_keep(cache: Cache, method: str, path: str) -> None:
    response, _ = cache.ask(method, path)
    assert response.status == 404
    assert response.headers["Cache-Control"] == "no-store"


def test_a_404_is_not_remembered(cache: Cache) -> None:
    """A path that was looked for too early is seen as soon as it is published."""
    assert cache.ask("HEAD", "/x.narinfo")[0].status == 404
    cache.put("x.narinfo", b"now")
    assert cache.ask("GET", "/x.narinfo")[1] == b"now"


def test_keys_with_the_characters_of_names_are_found(cache: Cache) -> None:
    cache.put("log/0-a+b?c=d.drv", b"log")
    assert cache.ask("GET", "/log/0-a+b%3Fc=d.drv")[1] == b"log"


def test_other_methods_are_refused(cache: Cache) -> None:
    assert cache.ask("PUT", "/x.narinfo")[0].status == 501


def test_when_the_bucket_cannot_be_read_that_is_no_404() -> None:
    """A client must not conclude from our trouble that a path does not exist."""
    nobody_listens = Aws("http://127.0.0.1:9").client("s3", Credentials("a", "b"))
    with CacheServer(nobody_listens, "cache") as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        connection.request("GET", "/x.narinfo")
        assert connection.getresponse().status == 502
        connection.close()
