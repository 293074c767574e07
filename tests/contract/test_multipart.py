"""Multipart copies, for NARs beyond what one CopyObject takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lambdas.ingest.adapters.aws_call import ABSENT
from tests.contract.asking import keys, put_versions, race, read, refusal
from tests.contract.engines import Engine, EngineName
from tests.contract.promises import Breach, Service, promise

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

RACERS = 6
ROUNDS = 5
PART = 5 * 1024**2
"""Bytes; the least that S3 takes for a part that is not the last."""
DATA = b"".join(bytes([number]) * PART for number in (1, 2)) + b"the rest"


class _Copy:
    """A copy under way, of a version that has been overwritten, to the key ``nar`` of a bucket."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.staging, self.cache = engine.create_bucket(versioned=True), engine.create_bucket(versioned=True)
        self.version_id, _ = put_versions(engine, self.staging, "k", DATA, b"another")

    def begin(self) -> str:
        return self.engine.clients.s3.create_multipart_upload(
            Bucket=self.cache, Key="nar", ContentType="application/x-nix-nar", CacheControl="public"
        )["UploadId"]

    def copy_parts(self, upload_id: str) -> list[CompletedPartTypeDef]:
        parts: list[CompletedPartTypeDef] = []
        for start in range(0, len(DATA), PART):
            number = start // PART + 1
            answer = self.engine.clients.s3.upload_part_copy(
                Bucket=self.cache,
                Key="nar",
                UploadId=upload_id,
                PartNumber=number,
                CopySource={"Bucket": self.staging, "Key": "k", "VersionId": self.version_id},
                CopySourceRange=f"bytes={start}-{min(start + PART, len(DATA)) - 1}",
            )
            parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
        return parts

    def complete(self, upload_id: str, parts: list[CompletedPartTypeDef]) -> None:
        self.engine.clients.s3.complete_multipart_upload(
            Bucket=self.cache,
            Key="nar",
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
            IfNoneMatch="*",
        )


@promise(Service.S3, relied_on="publishing a NAR of more than 5 GiB (I2)")
def test_ranges_of_a_version_make_an_object(engine: Engine) -> None:
    """UploadPartCopy takes ranges of a version by its id; nothing is visible until all are put together."""
    copy = _Copy(engine)
    upload_id = copy.begin()
    parts = copy.copy_parts(upload_id)
    assert keys(engine, copy.cache) == []
    copy.complete(upload_id, parts)
    assert read(engine, copy.cache, "nar") == DATA
    assert engine.clients.s3.head_object(Bucket=copy.cache, Key="nar")["ContentType"] == "application/x-nix-nar"


@promise(Service.S3, relied_on="two submissions with one large NAR")
def test_a_completion_does_not_replace(engine: Engine) -> None:
    """CompleteMultipartUpload with `If-None-Match: *` is refused with PreconditionFailed where the key exists."""
    copy = _Copy(engine)
    upload_id = copy.begin()
    parts = copy.copy_parts(upload_id)
    engine.clients.s3.put_object(Bucket=copy.cache, Key="nar", Body=b"first")
    assert refusal(lambda: copy.complete(upload_id, parts)) == "PreconditionFailed"
    assert read(engine, copy.cache, "nar") == b"first"


@promise(
    Service.S3,
    relied_on="two submissions with one large NAR, published at once; were it replaced, it would be by its own bytes",
    broken={
        EngineName.MOTO: Breach("lets several succeed when parts are large", always=False),
        EngineName.SEAWEEDFS: Breach("now and then lets several succeed", always=False),
    },
    documented="https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html",
)
def test_one_completion_wins(engine: Engine) -> None:
    """Of those who complete uploads to one key at once with `If-None-Match: *`, exactly one succeeds."""
    s3 = engine.clients.s3
    bucket = engine.create_bucket(versioned=True)
    for number in range(ROUNDS):
        key = f"{number}.nar"

        def upload(racer: int, key: str = key) -> Callable[[], object]:
            upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
            part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=str(racer).encode())
            return lambda: s3.complete_multipart_upload(
                Bucket=bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
                IfNoneMatch="*",
            )

        winners = race([upload(racer) for racer in range(RACERS)])
        assert [str(winner).encode() for winner in winners] == [read(engine, bucket, key)]


@promise(Service.S3, relied_on="a large NAR that was deleted while it was copied")
def test_a_deleted_version_gives_no_part(engine: Engine) -> None:
    """UploadPartCopy of a version that has been deleted is refused as an absence."""
    copy = _Copy(engine)
    engine.clients.s3.delete_object(Bucket=copy.staging, Key="k", VersionId=copy.version_id)
    upload_id = copy.begin()
    assert refusal(lambda: copy.copy_parts(upload_id)) in ABSENT


@promise(Service.S3, relied_on="collecting what a crash left behind")
def test_uploads_under_way_are_listed_until_they_are_aborted(engine: Engine) -> None:
    """ListMultipartUploads names an upload until it is aborted."""
    copy = _Copy(engine)
    s3 = engine.clients.s3
    upload_id = copy.begin()
    listed = s3.list_multipart_uploads(Bucket=copy.cache)["Uploads"]
    assert [(upload["Key"], upload["UploadId"]) for upload in listed] == [("nar", upload_id)]
    s3.abort_multipart_upload(Bucket=copy.cache, Key="nar", UploadId=upload_id)
    assert s3.list_multipart_uploads(Bucket=copy.cache).get("Uploads", []) == []


@promise(
    Service.S3,
    relied_on="collecting uploads while one of them goes on after all",
    broken={EngineName.MOTO: Breach("answers with a status of 500")},
)
def test_what_was_aborted_cannot_be_completed(engine: Engine) -> None:
    """CompleteMultipartUpload after AbortMultipartUpload is refused with NoSuchUpload, and creates nothing."""
    copy = _Copy(engine)
    upload_id = copy.begin()
    parts = copy.copy_parts(upload_id)
    engine.clients.s3.abort_multipart_upload(Bucket=copy.cache, Key="nar", UploadId=upload_id)
    assert refusal(lambda: copy.complete(upload_id, parts)) == "NoSuchUpload"
    assert keys(engine, copy.cache) == []
