"""Uploads into a real (moto) bucket: one PUT or parts, and nothing left over whatever goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hook.transfer.staging import PART_SIZE, Staging, _date
from nixcache.errors import TransientError
from nixcache.store_path import parse_hash_part
from protocol.keys import NarFile, StagingNarInfoKey, StagingNarKey
from tests.hook.service import BUILDER, Service

PART = 5 * 1024 * 1024
"""The smallest that S3, and moto, take for any part but the last."""
NAR = StagingNarKey(BUILDER, NarFile("0" * 52, ".zst"))
NARINFO = StagingNarInfoKey(BUILDER, parse_hash_part("0" * 32))


@pytest.fixture
def staging(service: Service) -> Staging:
    return Staging(service.s3, service.staging, part_size=PART)


def _pieces(size: int) -> Iterator[bytes]:
    for start in range(0, size, 300_000):
        yield bytes([start // 300_000 % 251]) * min(300_000, size - start)


def _stored(service: Service) -> bytes:
    return service.s3.get_object(Bucket=service.staging, Key=str(NAR))["Body"].read()


@pytest.mark.parametrize(
    ("size", "multipart"),
    [
        (0, False),
        (1, False),
        (PART - 1, False),
        (PART, False),
        (PART + 1, True),
        (2 * PART, True),
        (2 * PART + 7, True),
    ],
)
def test_one_part_is_a_single_put_and_more_are_a_multipart_upload(
    service: Service, staging: Staging, size: int, *, multipart: bool
) -> None:
    staging.put_nar(NAR, _pieces(size))
    assert _stored(service) == b"".join(_pieces(size))
    etag = service.s3.head_object(Bucket=service.staging, Key=str(NAR))["ETag"]
    assert ("-" in etag) is multipart
    assert service.unfinished_uploads() == 0


@pytest.mark.parametrize("error", [TransientError("cut"), OSError("cut"), KeyboardInterrupt()])
def test_a_source_that_fails_in_the_middle_leaves_neither_object_nor_parts(
    service: Service, staging: Staging, error: BaseException
) -> None:
    unfinished: list[int] = []

    def failing() -> Iterator[bytes]:
        yield from _pieces(3 * PART)
        unfinished.append(service.unfinished_uploads())
        raise error

    with pytest.raises(type(error)):
        staging.put_nar(NAR, failing())
    assert unfinished == [1], "the failure came in the middle of a multipart upload"
    assert service.unfinished_uploads() == 0
    assert service.staged() == []


def test_a_small_source_that_fails_uploads_nothing(service: Service, staging: Staging) -> None:
    def failing() -> Iterator[bytes]:
        yield b"x"
        raise TransientError("cut")

    with pytest.raises(TransientError):
        staging.put_nar(NAR, failing())
    assert service.staged() == []


def test_a_part_that_s3_refuses_ends_the_upload_without_a_trace(service: Service) -> None:
    # Parts too small: S3 says so only when the upload is to be completed.
    with pytest.raises(TransientError, match="EntityTooSmall"):
        Staging(service.s3, service.staging, part_size=1000).put_nar(NAR, _pieces(5000))
    assert service.unfinished_uploads() == 0
    assert service.staged() == []


def test_no_more_than_a_few_parts_are_read_ahead(service: Service, staging: Staging) -> None:
    """I7, the builder's side of it: memory is bounded by the part size, not by the NAR."""
    read = 0
    ahead: list[int] = []

    def counted() -> Iterator[bytes]:
        nonlocal read
        for piece in _pieces(6 * PART):
            read += len(piece)
            yield piece

    def uploaded(**_: object) -> None:
        ahead.append(read)

    service.s3.meta.events.register("after-call.s3.UploadPart", uploaded)
    staging.put_nar(NAR, counted())
    assert len(ahead) == 6
    assert all(read - number * PART < 3 * PART for number, read in enumerate(ahead))


def test_the_part_size_reaches_beyond_any_nar_that_a_service_accepts() -> None:
    assert PART_SIZE >= 5 * 1024**2
    assert PART_SIZE * 10_000 > 50 * 1024**3


def test_a_submission_is_known_by_its_version_and_the_bucket_s_own_time(service: Service, staging: Staging) -> None:
    first, second = staging.put_narinfo(NARINFO, b"1"), staging.put_narinfo(NARINFO, b"2")
    assert first.version_id != second.version_id
    body = service.s3.get_object(Bucket=service.staging, Key=str(NARINFO), VersionId=first.version_id)["Body"]
    assert body.read() == b"1"
    assert abs(datetime.now(UTC) - second.at) < timedelta(seconds=10)


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
def test_a_server_that_tells_no_time_is_taken_to_have_ours(headers: dict[str, str]) -> None:
    assert abs(datetime.now(UTC) - _date(headers)) < timedelta(seconds=10)


def test_a_bucket_without_versions_is_not_a_staging_bucket(service: Service) -> None:
    with pytest.raises(TransientError, match="keeps no versions"):
        Staging(service.s3, service.ledger).put_narinfo(NARINFO, b"1")


def test_a_missing_bucket_is_named(service: Service) -> None:
    with pytest.raises(TransientError, match="NoSuchBucket") as caught:
        Staging(service.s3, "no-such-bucket").put_nar(NAR, [b"x"])
    assert "bucket's name" in caught.value.remedy
