"""Server-side copies: of the version that was verified, and never over anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambdas.ingest.adapters.aws_call import ABSENT
from tests.contract.asking import put_versions, race, read, refusal
from tests.contract.engines import Engine, EngineName
from tests.contract.promises import Breach, Service, promise

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CopySourceTypeDef


IGNORED = {
    EngineName.MOTO: Breach("ignores the condition and replaces"),
    EngineName.MINISTACK: Breach("ignores the condition and replaces"),
}
DOCUMENTED = "https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"


def _source(bucket: str, version_id: str) -> CopySourceTypeDef:
    return {"Bucket": bucket, "Key": "k", "VersionId": version_id}


@promise(Service.S3, relied_on="publishing the NAR that was verified, whatever lies over it by then (I2)")
def test_a_version_is_copied(engine: Engine) -> None:
    """CopyObject with a VersionId copies that version, after it has been overwritten and deleted."""
    staging, cache = engine.create_bucket(versioned=True), engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    first, _ = put_versions(engine, staging, "k", b"first", b"second")
    s3.delete_object(Bucket=staging, Key="k")
    s3.copy_object(Bucket=cache, Key="nar", CopySource=_source(staging, first))
    assert read(engine, cache, "nar") == b"first"


@promise(Service.S3, relied_on="a NAR that was deleted after it was verified")
def test_a_deleted_version_is_not_copied(engine: Engine) -> None:
    """CopyObject of a version that has been deleted is refused as an absence, and creates nothing."""
    staging, cache = engine.create_bucket(versioned=True), engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    first, _ = put_versions(engine, staging, "k", b"first", b"second")
    s3.delete_object(Bucket=staging, Key="k", VersionId=first)
    source = _source(staging, first)
    assert refusal(lambda: s3.copy_object(Bucket=cache, Key="nar", CopySource=source)) in ABSENT
    assert refusal(lambda: s3.get_object(Bucket=cache, Key="nar")) == "NoSuchKey"


@promise(
    Service.S3,
    relied_on="publishing a NAR without asking first; were it replaced, it would be by its own bytes",
    broken=IGNORED,
    documented=DOCUMENTED,
)
def test_a_copy_does_not_replace(engine: Engine) -> None:
    """CopyObject with `If-None-Match: *` creates; where the key exists it is refused with PreconditionFailed."""
    staging, cache = engine.create_bucket(versioned=True), engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    first, second = put_versions(engine, staging, "k", b"first", b"second")
    s3.copy_object(Bucket=cache, Key="nar", CopySource=_source(staging, first), IfNoneMatch="*")
    source = _source(staging, second)
    answer = refusal(lambda: s3.copy_object(Bucket=cache, Key="nar", CopySource=source, IfNoneMatch="*"))
    assert answer == "PreconditionFailed"
    assert read(engine, cache, "nar") == b"first"


@promise(Service.S3, relied_on="two submissions with one NAR, published at once", broken=IGNORED, documented=DOCUMENTED)
def test_one_conditional_copy_wins(engine: Engine) -> None:
    """Of those who copy to one key at once with `If-None-Match: *`, exactly one succeeds."""
    staging, cache = engine.create_bucket(versioned=True), engine.create_bucket(versioned=True)
    versions = put_versions(engine, staging, "k", *(str(racer).encode() for racer in range(6)))

    def copy(version_id: str) -> None:
        engine.clients.s3.copy_object(Bucket=cache, Key="nar", CopySource=_source(staging, version_id), IfNoneMatch="*")

    winners = race([lambda version_id=version_id: copy(version_id) for version_id in versions])  # type: ignore[misc]
    assert [str(winner).encode() for winner in winners] == [read(engine, cache, "nar")]


@promise(Service.S3, relied_on="a builder's own headers and metadata stay behind (I5)")
def test_a_copy_leaves_metadata_behind(engine: Engine) -> None:
    """CopyObject with the directives REPLACE takes the request's headers and metadata, and none of the source's."""
    staging, cache = engine.create_bucket(versioned=True), engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    version_id = s3.put_object(
        Bucket=staging,
        Key="k",
        Body=b"first",
        ContentType="text/html",
        CacheControl="no-store",
        Metadata={"trap": "set"},
    )["VersionId"]
    s3.copy_object(
        Bucket=cache,
        Key="nar",
        CopySource=_source(staging, version_id),
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        ContentType="application/x-nix-nar",
        CacheControl="public",
    )
    answer = s3.head_object(Bucket=cache, Key="nar")
    assert (answer["ContentType"], answer["CacheControl"]) == ("application/x-nix-nar", "public")
    assert answer["Metadata"] == {}
