"""What the builder's bench counts; what it measures is for `make bench-builder` to say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.builder import counting_moto
from bench.builder.processes import Metered, run
from bench.builder.requests import RequestLog
from local.aws import UNCHECKED, MotoServer

_SH = {"PATH": "/usr/bin:/bin"}


def test_requests_are_counted_by_kind_and_nars_by_their_bytes(tmp_path: Path) -> None:
    file = tmp_path / "requests"
    file.touch()
    with MotoServer(process=(counting_moto.__name__, str(file))) as moto:
        s3 = moto.aws.client("s3", UNCHECKED)
        s3.create_bucket(Bucket="bucket")
        log = RequestLog(file)
        s3.put_object(Bucket="bucket", Key="nar/a.nar.zst", Body=b"12345")
        upload = s3.create_multipart_upload(Bucket="bucket", Key="nar/b.nar.zst")["UploadId"]
        s3.upload_part(Bucket="bucket", Key="nar/b.nar.zst", UploadId=upload, PartNumber=1, Body=b"123")
        s3.abort_multipart_upload(Bucket="bucket", Key="nar/b.nar.zst", UploadId=upload)
        for _ in range(2):  # the same twice is one narinfo
            s3.put_object(Bucket="bucket", Key="a.narinfo", Body=b"1")
        s3.head_object(Bucket="bucket", Key="a.narinfo")
        assert log.wait_for_narinfos("bucket", 1, timeout=60, alive=lambda: True) is not None
        assert log.wait_for_narinfos("bucket", 2, timeout=0, alive=lambda: True) is None
        requests = log.requests()
    assert (requests.reads, requests.writes, requests.parts) == (1, 3, 3)
    assert requests.nar_bytes == len(b"12345123")


def test_a_command_is_measured_with_what_it_started() -> None:
    cost = run("/bin/sh", "-c", f"{sys.executable} -I -S -c 'bytearray(20 * 1024 * 1024)'; :", environment=_SH)
    assert cost.peak_memory is not None
    assert cost.peak_memory > 20 * 1024 * 1024
    assert cost.cpu_seconds > 0


def test_a_command_that_is_stopped_tells_its_cost() -> None:
    with Metered(("/bin/sh", "-c", "echo said; exec sleep 1000"), _SH) as process:
        assert process.running
        assert process.stop().seconds > 0


def test_a_command_that_fails_ends_the_bench_with_its_words() -> None:
    with pytest.raises(SystemExit, match="so it is"):
        run("/bin/sh", "-c", "echo so it is >&2; exit 3", environment=_SH)
