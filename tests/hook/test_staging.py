"""The staging bucket call by call, against a real (moto) bucket and against servers that only pretend to be one."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import boto3
import pytest
from botocore.config import Config
from botocore.model import OperationModel
from mypy_boto3_s3 import S3Client

from hook.errors import Cause, Trouble
from hook.transfer.multipart import Part
from hook.transfer.pace import Pace, StoppedError
from hook.transfer.staging import NAR_CONTENT_TYPE, Staging, UploadGoneError, _date
from nixcache.store_path import parse_hash_part
from protocol.keys import StagingNarInfoKey
from tests.hook.lifecycle import Lifecycle
from tests.hook.service import BUILDER, Service

PART = 5 * 1024 * 1024
KEY = "ci-1/nar/x"
NARINFO = StagingNarInfoKey(BUILDER, parse_hash_part("0" * 32))


@pytest.fixture
def staging(service: Service) -> Staging:
    return Staging(service.s3, service.staging)


def _put(staging: Staging, data: bytes, **more: str) -> None:
    staging.put(KEY, bytearray(data), sha256=hashlib.sha256(data).digest(), content_type=NAR_CONTENT_TYPE, **more)


def _submit(staging: Staging, data: bytes) -> tuple[str, datetime]:
    staged = staging.put_narinfo(NARINFO, data, sha256=hashlib.sha256(data).digest())
    return staged.version_id, staged.at


def test_a_submission_is_known_by_its_version_and_the_bucket_s_own_time(service: Service, staging: Staging) -> None:
    (first, _), (second, at) = _submit(staging, b"1"), _submit(staging, b"2")
    assert first != second
    body = service.s3.get_object(Bucket=service.staging, Key=str(NARINFO), VersionId=first)["Body"]
    assert body.read() == b"1"
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=10)


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
def test_a_server_that_tells_no_time_is_taken_to_have_ours(headers: dict[str, str]) -> None:
    assert abs(datetime.now(UTC) - _date(headers)) < timedelta(seconds=10)


def test_an_encoding_goes_along(service: Service, staging: Staging) -> None:
    _put(staging, b"x", encoding="bzip2")
    assert service.s3.head_object(Bucket=service.staging, Key=KEY)["ContentEncoding"] == "bzip2"
    _put(staging, b"x")
    assert "ContentEncoding" not in service.s3.head_object(Bucket=service.staging, Key=KEY)


def test_every_body_goes_with_its_sha256_and_an_upload_names_the_algorithm(service: Service, staging: Staging) -> None:
    """AWS refuses a part with a checksum unless the upload was begun with its algorithm, and wants all at the end."""
    asked: dict[str, dict[str, object]] = {}

    def remember(params: dict[str, object], model: OperationModel, **_: object) -> None:
        asked[model.name] = params

    service.s3.meta.events.register("provide-client-params.s3", remember)
    _put(staging, b"x")
    data = bytearray(b"y" * 100)
    upload_id = staging.begin(KEY)
    part = staging.put_part(KEY, upload_id, 1, data, sha256=hashlib.sha256(data).digest())
    staging.complete(KEY, upload_id, {1: part})
    assert asked["PutObject"]["ChecksumSHA256"] == _b64(b"x")
    assert asked["CreateMultipartUpload"]["ChecksumAlgorithm"] == "SHA256"
    assert asked["UploadPart"]["ChecksumSHA256"] == _b64(bytes(data))
    assert asked["CompleteMultipartUpload"]["MultipartUpload"] == {
        "Parts": [{"PartNumber": 1, "ETag": part.etag, "ChecksumSHA256": _b64(bytes(data))}]
    }
    assert service.s3.get_object(Bucket=service.staging, Key=KEY)["Body"].read() == data


def _b64(data: bytes) -> str:
    return b64encode(hashlib.sha256(data).digest()).decode()


def test_a_body_at_a_pace_arrives_whole(service: Service, staging: Staging) -> None:
    staging.keep_pace(Pace(None, Event()))
    data = bytes(range(256)) * 5000
    _put(staging, data)
    assert service.s3.get_object(Bucket=service.staging, Key=KEY)["Body"].read() == data
    assert _submit(staging, b"narinfo")[0]


_BODIES: dict[str, Callable[[Staging], object]] = {
    "object": lambda staging: _put(staging, b"x"),
    "narinfo": lambda staging: _submit(staging, b"x"),
    "part": lambda staging: staging.put_part(KEY, "u", 1, bytearray(b"x"), sha256=bytes(32)),
}


@pytest.mark.parametrize("body", _BODIES)
def test_no_body_waits_for_the_server_s_leave_and_each_goes_at_the_pace(body: str) -> None:
    """Of plain bytes boto3 makes a file, for which it asks (Expect) in a round trip of its own, unpaced."""
    asked: list[str | None] = []
    stop = Event()
    stop.set()
    with _answering(b"", ETag='"1"') as client:
        client.meta.events.register("before-send.s3", lambda request, **_: asked.append(request.headers.get("Expect")))
        staging = Staging(client, "bucket")
        staging.keep_pace(Pace(None, stop))
        with pytest.raises(StoppedError):
            _BODIES[body](staging)
    assert asked == [None]


def test_a_part_of_an_upload_that_is_gone_says_so(service: Service, staging: Staging) -> None:
    upload_id = staging.begin(KEY)
    Lifecycle(service).abort(KEY, upload_id)
    staging.abort(KEY, upload_id)
    with pytest.raises(UploadGoneError):
        staging.put_part(KEY, upload_id, 1, bytearray(b"x"), sha256=hashlib.sha256(b"x").digest())
    assert service.unfinished_uploads() == 0


def test_a_bucket_without_versions_is_not_a_staging_bucket(service: Service) -> None:
    with pytest.raises(Trouble, match="keeps no versions") as caught:
        _submit(Staging(service.s3, service.ledger), b"1")
    assert caught.value.cause is Cause.SERVICE


def test_a_missing_bucket_is_named(service: Service) -> None:
    with pytest.raises(Trouble, match="NoSuchBucket") as caught:
        _put(Staging(service.s3, "no-such-bucket"), b"x")
    assert caught.value.cause is Cause.SERVICE
    assert "bucket's name" in caught.value.remedy


@contextmanager
def _answering(body: bytes, status: int = 200, **headers: str) -> Iterator[S3Client]:
    """Give a client of a server that answers every request with the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_PUT()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(proxies={}, retries={"mode": "standard", "total_max_attempts": 1}),
    )
    try:
        yield client
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()


_CALLS: dict[str, Callable[[Staging], object]] = {
    "PutObject": lambda staging: _put(staging, b"x"),
    "narinfo": lambda staging: _submit(staging, b"x"),
    "CreateMultipartUpload": lambda staging: staging.begin(KEY),
    "UploadPart": lambda staging: staging.put_part(KEY, "u", 1, bytearray(b"x"), sha256=bytes(32)),
    "CompleteMultipartUpload": lambda staging: staging.complete(KEY, "u", {1: Part(bytes(32), 1, '"e"')}),
}


@pytest.mark.parametrize("body", [b"", b"<p>Sign in</p>", b"<!doctype html><p>Sign in", b'{"ok": true}'])
@pytest.mark.parametrize("call", _CALLS)
def test_i6_a_200_of_somebody_else_is_trouble_and_never_success(call: str, body: bytes) -> None:
    """A captive portal must not make a path count as submitted."""
    with _answering(body) as client, pytest.raises(Trouble) as caught:
        _CALLS[call](Staging(client, "bucket"))
    assert caught.value.cause is Cause.NETWORK
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("call", ["PutObject", "narinfo"])
def test_i6_an_entity_tag_alone_is_no_submission(call: str) -> None:
    """Any web server gives its pages one; only a versioned bucket names a version."""
    with _answering(b"", ETag='"1"') as client, pytest.raises(Trouble, match="keeps no versions"):
        _CALLS[call](Staging(client, "bucket"))


def test_i6_completing_may_fail_with_a_200() -> None:
    """S3 sends the status before it knows: the error is in the body."""
    body = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>Try again.</Message></Error>"
    with _answering(body) as client, pytest.raises(Trouble, match="InternalError") as caught:
        _CALLS["CompleteMultipartUpload"](Staging(client, "bucket"))
    assert caught.value.cause is Cause.NETWORK
