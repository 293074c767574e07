"""``python -m local up``, as somebody starts and ends it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import pytest

from local.aws import MotoServer
from nixcache.errors import TransientError
from nixcache.signature import PublicKey
from tests.local.processes import descendants, still_running

ROOT = Path(__file__).parents[2]


@contextmanager
def up(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "local", "up", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    document = json.loads(process.stdout.readline())
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_everything_is_and_ends_with_all_that_it_started(number: signal.Signals) -> None:
    with up() as process:
        outputs = first_line(process)
        assert set(outputs) >= {
            "endpoint",
            "staging_bucket",
            "cache_bucket",
            "ledger_bucket",
            "queue_url",
            "cache_url",
            "public_key",
        }
        PublicKey.parse(outputs["public_key"])
        operator = outputs["operator"]
        s3 = boto3.client(
            "s3",
            endpoint_url=outputs["endpoint"],
            region_name=outputs["region"],
            aws_access_key_id=operator["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=operator["AWS_SECRET_ACCESS_KEY"],
        )
        for bucket in ("staging_bucket", "cache_bucket", "ledger_bucket"):
            assert s3.get_bucket_versioning(Bucket=outputs[bucket])["Status"] == "Enabled"
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{outputs['cache_url']}/none.narinfo")  # noqa: S310 - our own address
        started = descendants(process.pid)
        assert started
        process.send_signal(number)
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert rest == "", "one line of JSON, and nothing else, is on standard output"
        assert not still_running(started)


def test_killed_without_a_chance_to_clean_up_it_leaves_no_process_either() -> None:
    with up() as process:
        first_line(process)
        started = descendants(process.pid)
        assert started
        process.kill()
        process.wait()
        assert not still_running(started)


def test_when_moto_ends_it_says_so_and_ends_too() -> None:
    with up() as process:
        first_line(process)
        for pid in descendants(process.pid):
            with suppress(ProcessLookupError):  # it may have ended with another of them
                os.kill(pid, signal.SIGKILL)
        _, complaints = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "ended unexpectedly" in complaints.splitlines()[-1]


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with up("--port", str(port)) as process:
            said, complaints = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said == ""
    [line] = complaints.splitlines()
    assert str(port) in line
    assert "--port" in line


def test_the_port_that_was_asked_for_is_the_endpoint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with up("--port", str(port)) as process:
        assert first_line(process)["endpoint"] == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "arguments", [("--port", "-1"), ("--port", "65536"), ("--port", "http"), ("--store-dir", "nix")]
)
def test_wrong_usage_is_exit_2_and_starts_nothing(arguments: tuple[str, str]) -> None:
    with up(*arguments) as process:
        said, complaints = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said == ""
    assert arguments[0] in complaints


def test_a_missing_moto_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)
    with pytest.raises(TransientError, match=r"moto is not installed.*pip install"), MotoServer():
        pass
