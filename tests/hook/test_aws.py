"""The client of a daemon: credentials that change under it, and every error as trouble with its cause."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoRegionError
from mypy_boto3_s3 import S3Client

from hook.aws import aws_trouble, s3_client
from hook.errors import Cause, Trouble
from local.aws import Aws

_NAMES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CA_BUNDLE",
    "HTTP_PROXY",
    "http_proxy",
)


class _S3:
    """Remembers whose key each request was signed with, and refuses some of them as S3 does."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.expired: set[str] = set()
        s3 = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
                s3.keys.append(key)
                body = b""
                if key in s3.expired:
                    body = b"<Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>"
                self.send_response(400 if body else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[_S3]:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
    s3 = _S3()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.server.server_port}")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    thread = Thread(target=s3.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield s3
    s3.server.shutdown()
    thread.join()
    s3.server.server_close()


def _put(client: S3Client) -> None:
    with aws_trouble("It failed"):
        client.put_object(Bucket="b", Key="k", Body=b"x")


def _write_credentials(tmp_path: Path, key: str) -> None:
    (tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_session_token = t\n"
    )


def test_credentials_that_are_renewed_in_their_file_are_taken_up_once_the_old_ones_are_refused(
    s3: _S3, tmp_path: Path
) -> None:
    """A daemon lives for weeks; boto3 alone would keep what it read at its start."""
    _write_credentials(tmp_path, "OLD")
    client = s3_client()
    _put(client)
    s3.expired.add("OLD")
    with pytest.raises(Trouble, match="ExpiredToken") as caught:
        _put(client)
    assert caught.value.cause is Cause.CREDENTIALS
    _write_credentials(tmp_path, "NEW")
    _put(client)
    assert s3.keys == ["OLD", "OLD", "NEW"]


def test_credentials_that_come_later_than_the_daemon_are_found(s3: _S3, tmp_path: Path) -> None:
    """The metadata service may not be up yet when a machine boots."""
    client = s3_client()
    with pytest.raises(Trouble) as caught:
        _put(client)
    assert caught.value.cause is Cause.CREDENTIALS
    _write_credentials(tmp_path, "LATE")
    _put(client)
    assert s3.keys == ["LATE"]


@pytest.fixture
def process(tmp_path: Path) -> Callable[[str, float], None]:
    """Return what makes ``credential_process`` print a key that expires in so many seconds."""
    answer = tmp_path / "answer"
    program = tmp_path / "helper"
    program.write_text(f"#!/bin/sh\nexec cat '{answer}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {program}\n")

    def print_from_now_on(key: str, seconds: float) -> None:
        expiration = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        answer.write_text(
            json.dumps(
                {
                    "Version": 1,
                    "AccessKeyId": key,
                    "SecretAccessKey": "s",
                    "SessionToken": "t",
                    "Expiration": expiration,
                }
            )
        )

    return print_from_now_on


def test_a_credential_process_is_asked_again_before_its_answer_expires(
    s3: _S3, process: Callable[[str, float], None]
) -> None:
    process("FIRST", 300)
    client = s3_client()
    _put(client)
    process("SECOND", 36_000)
    _put(client)
    process("THIRD", 36_000)
    _put(client)
    assert s3.keys == ["FIRST", "SECOND", "SECOND"]


def test_a_credential_process_that_fails_or_gives_what_has_expired_is_trouble_that_passes(
    s3: _S3, process: Callable[[str, float], None], tmp_path: Path
) -> None:
    process("DEAD", -60)
    client = s3_client()
    with pytest.raises(Trouble) as caught:
        _put(client)
    assert caught.value.cause is Cause.CREDENTIALS
    (tmp_path / "answer").write_text("not JSON")
    with pytest.raises(Trouble) as caught:
        _put(client)
    assert caught.value.cause is Cause.CREDENTIALS
    (tmp_path / "answer").unlink()
    with pytest.raises(Trouble) as caught:
        _put(client)
    assert caught.value.cause is Cause.CREDENTIALS
    process("ALIVE", 36_000)
    _put(client)
    assert s3.keys == ["ALIVE"]


def test_a_web_identity_is_exchanged_anew_with_the_token_that_is_there_then(
    aws: Aws, s3: _S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.endpoint)
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/builder")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    client = s3_client()
    with pytest.raises(Trouble, match="token") as caught:
        _put(client)
    assert caught.value.cause is Cause.CREDENTIALS
    token.write_text("first")
    _put(client)
    _put(client)
    first, again = s3.keys
    assert first == again
    s3.expired.add(first)
    with pytest.raises(Trouble, match="ExpiredToken"):
        _put(client)
    token.write_text("second")
    _put(client)
    assert s3.keys[-1] != first


def _refused(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "PutObject",
    )


@pytest.mark.parametrize(
    ("error", "cause", "remedy"),
    [
        (_refused("SlowDown", 503), Cause.THROTTLED, ""),
        (_refused("Throttling", 400), Cause.THROTTLED, ""),
        (_refused("TooManyRequests", 429), Cause.THROTTLED, ""),
        (_refused("503", 503), Cause.THROTTLED, ""),
        (_refused("InternalError", 500), Cause.NETWORK, ""),
        (_refused("502", 502), Cause.NETWORK, ""),
        (_refused("RequestTimeout", 400), Cause.NETWORK, ""),
        (_refused("BadDigest", 400), Cause.NETWORK, ""),
        (_refused("ExpiredToken", 400), Cause.CREDENTIALS, "Renew"),
        (_refused("InvalidAccessKeyId", 403), Cause.CREDENTIALS, "credentials"),
        (_refused("SignatureDoesNotMatch", 403), Cause.CREDENTIALS, "credentials"),
        (_refused("RequestTimeTooSkewed", 403), Cause.MACHINE, "clock"),
        (_refused("AccessDenied", 403), Cause.SERVICE, "role"),
        (_refused("NoSuchBucket", 404), Cause.SERVICE, "bucket"),
        (_refused("PermanentRedirect", 301), Cause.SERVICE, "AWS_REGION"),
        (_refused("SomethingNew", 400), Cause.SERVICE, ""),
        (EndpointConnectionError(endpoint_url="https://x"), Cause.NETWORK, "network"),
        (NoRegionError(), Cause.SERVICE, "settings"),
    ],
    ids=lambda value: value.response["Error"]["Code"] if isinstance(value, ClientError) else None,
)
def test_every_error_has_a_cause_and_says_what_to_do(error: Exception, cause: Cause, remedy: str) -> None:
    with pytest.raises(Trouble, match="It failed: ") as caught, aws_trouble("It failed"):
        raise error
    assert caught.value.cause is cause
    assert remedy in caught.value.remedy
    assert "\n" not in str(caught.value)


def test_boto3_does_not_correct_a_clock_that_is_off(s3: _S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is trouble of this machine, until somebody sets the clock."""
    _write_credentials(tmp_path, "KEY")
    times: list[str] = []
    skewed = b"<Error><Code>RequestTimeTooSkewed</Code><Message>Too far.</Message></Error>"

    def refuse(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        times.append(handler.headers["X-Amz-Date"])
        handler.send_response(403)
        handler.send_header("Date", "Tue, 01 Jan 2030 00:00:00 GMT")
        handler.send_header("Content-Length", str(len(skewed)))
        handler.end_headers()
        handler.wfile.write(skewed)

    monkeypatch.setattr(s3.server.RequestHandlerClass, "do_PUT", refuse, raising=False)
    client = s3_client()
    for _ in range(2):
        with pytest.raises(Trouble) as caught:
            _put(client)
        assert caught.value.cause is Cause.MACHINE
    assert not any(time.startswith("2030") for time in times)


@contextmanager
def _silent() -> Iterator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.usefixtures("s3")
def test_a_bucket_that_hangs_is_trouble_in_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_credentials(tmp_path, "KEY")
    with _silent() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(Trouble, match="timeout") as caught:
            _put(s3_client(read_seconds=0.05, attempts=2))
    assert caught.value.cause is Cause.NETWORK


@pytest.mark.usefixtures("s3")
def test_a_proxy_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_credentials(tmp_path, "KEY")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(Trouble) as caught:
            _put(s3_client(attempts=1))
    assert caught.value.cause is Cause.NETWORK
    assert "HTTP_PROXY" in caught.value.remedy


@pytest.mark.usefixtures("s3")
def test_settings_that_name_what_is_not_there_are_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile other]\nregion = x\n")
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(Trouble, match="missing") as caught:
        s3_client()
    assert caught.value.cause is Cause.SERVICE


def test_the_configuration_is_read_without_boto3() -> None:
    """`assay status` must not wait for a third of a second to import what it does not need."""
    program = "import sys, hook.config, hook.nix_store, hook.transfer.packing; sys.exit('boto3' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0
