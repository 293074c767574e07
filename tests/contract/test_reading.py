"""Reads: what is there is seen, what is not there is told apart from what may not be known, and versions hold still."""

from __future__ import annotations

from tests.contract.asking import put_versions, read, refusal
from tests.contract.engines import Engine, EngineName
from tests.contract.promises import Breach, Service, promise


@promise(Service.S3, relied_on="telling an absence from trouble")
def test_a_missing_key_is_named_so(engine: Engine) -> None:
    """GetObject of a key that does not exist is refused with NoSuchKey."""
    bucket = engine.create_bucket(versioned=True)
    assert refusal(lambda: engine.clients.s3.get_object(Bucket=bucket, Key="k")) == "NoSuchKey"


@promise(Service.S3, relied_on="looking whether there is a listing, or a large NAR")
def test_head_of_a_missing_key_says_404(engine: Engine) -> None:
    """HeadObject of a key that does not exist is refused with 404."""
    bucket = engine.create_bucket(versioned=True)
    assert refusal(lambda: engine.clients.s3.head_object(Bucket=bucket, Key="k")) == "404"


@promise(Service.S3, relied_on="telling an absence from a deployment that is broken")
def test_a_missing_bucket_is_named_so(engine: Engine) -> None:
    """GetObject in a bucket that does not exist is refused with NoSuchBucket: no absence of an object."""
    assert refusal(lambda: engine.clients.s3.get_object(Bucket="contract-nowhere", Key="k")) == "NoSuchBucket"


@promise(Service.S3, relied_on="the gate: who publishes and who waits see each other (I4)")
def test_a_write_is_read(engine: Engine) -> None:
    """What a PutObject has written, the next GetObject and HeadObject return: new objects and overwritten ones."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    for number in range(10):
        body = b"x" * number
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        assert read(engine, bucket, "k") == body
        assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == number


@promise(Service.S3, relied_on="judging a submission that its builder took back")
def test_a_deletion_is_read(engine: Engine) -> None:
    """After DeleteObject, GetObject is refused with NoSuchKey and HeadObject with 404, in a versioned bucket, too."""
    for versioned in (True, False):
        bucket = engine.create_bucket(versioned=versioned)
        s3 = engine.clients.s3
        s3.put_object(Bucket=bucket, Key="k", Body=b"first")
        s3.delete_object(Bucket=bucket, Key="k")
        assert refusal(lambda: s3.get_object(Bucket=bucket, Key="k")) == "NoSuchKey"  # noqa: B023
        assert refusal(lambda: s3.head_object(Bucket=bucket, Key="k")) == "404"  # noqa: B023


@promise(Service.S3, relied_on="judging the version that an event names (I2)")
def test_a_version_holds_still(engine: Engine) -> None:
    """GetObject by VersionId returns that version and names it, after it has been overwritten and deleted."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    first, second = put_versions(engine, bucket, "k", b"first", b"second")
    s3.delete_object(Bucket=bucket, Key="k")
    for version_id, body in ((first, b"first"), (second, b"second")):
        answer = s3.get_object(Bucket=bucket, Key="k", VersionId=version_id)
        assert (answer["Body"].read(), answer["VersionId"]) == (body, version_id)


@promise(Service.S3, relied_on="pinning the NAR that was read (I2)")
def test_a_read_names_the_version(engine: Engine) -> None:
    """GetObject without VersionId returns the newest version, and which it is."""
    bucket = engine.create_bucket(versioned=True)
    _, second = put_versions(engine, bucket, "k", b"first", b"second")
    answer = engine.clients.s3.get_object(Bucket=bucket, Key="k")
    assert (answer["Body"].read(), answer["VersionId"]) == (b"second", second)


@promise(Service.S3, relied_on="refusing to work on a staging bucket without versions (I2)")
def test_without_versioning_none_is_named(engine: Engine) -> None:
    """In a bucket that was never versioned, neither PutObject nor GetObject names a version."""
    bucket = engine.create_bucket(versioned=False)
    s3 = engine.clients.s3
    assert "VersionId" not in s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert "VersionId" not in s3.get_object(Bucket=bucket, Key="k")


@promise(Service.S3, relied_on="a submission whose version was deleted meanwhile")
def test_a_deleted_version_is_named_so(engine: Engine) -> None:
    """GetObject of a version that has been deleted is refused with NoSuchVersion; the others stay."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    first, second = put_versions(engine, bucket, "k", b"first", b"second")
    s3.delete_object(Bucket=bucket, Key="k", VersionId=first)
    assert refusal(lambda: s3.get_object(Bucket=bucket, Key="k", VersionId=first)) == "NoSuchVersion"
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=second)["Body"].read() == b"second"


@promise(Service.S3, relied_on="a builder that deletes versions in order to bring an older one back")
def test_the_version_before_comes_back(engine: Engine) -> None:
    """When the newest version, or the delete marker on top, is deleted by its id, the one below is current again."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    _, second = put_versions(engine, bucket, "k", b"first", b"second")
    s3.delete_object(Bucket=bucket, Key="k", VersionId=second)
    assert read(engine, bucket, "k") == b"first"
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    assert read(engine, bucket, "k") == b"first"


@promise(
    Service.S3,
    relied_on="nothing: no event names a delete marker, and a message that claims it ends as a dead letter",
    broken={
        EngineName.MOTO: Breach("refuses with NoSuchVersion"),
        EngineName.SEAWEEDFS: Breach("refuses with NoSuchKey"),
    },
    documented="https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html",
)
def test_a_delete_marker_cannot_be_read(engine: Engine) -> None:
    """GetObject of a delete marker's version is refused with MethodNotAllowed."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    assert refusal(lambda: s3.get_object(Bucket=bucket, Key="k", VersionId=marker)) == "MethodNotAllowed"


@promise(Service.S3, relied_on="results: the ETag of a read is the condition of a write (I6)")
def test_all_answers_give_one_etag(engine: Engine) -> None:
    """PutObject, GetObject, HeadObject and ListObjectsV2 give the same ETag; other bytes have another one."""
    bucket = engine.create_bucket(versioned=False)
    s3 = engine.clients.s3
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["ETag"]
    got = s3.get_object(Bucket=bucket, Key="k")["ETag"]
    head = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ETag"]
    assert put == got == head == listed
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"second")["ETag"] != put


@promise(Service.S3, relied_on="ordering submissions in time: whoever compares times must live with ties")
def test_times_are_in_whole_seconds(engine: Engine) -> None:
    """LastModified of GetObject and HeadObject has no fraction of a second, and a time zone."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    for modified in (
        s3.get_object(Bucket=bucket, Key="k")["LastModified"],
        s3.head_object(Bucket=bucket, Key="k")["LastModified"],
    ):
        assert modified.microsecond == 0
        assert modified.tzinfo is not None


@promise(Service.S3, relied_on="telling an answer that broke off from a short object")
def test_a_body_has_the_length_that_is_said(engine: Engine) -> None:
    """GetObject says how long the object is; its body can be read in pieces, then ends."""
    bucket = engine.create_bucket(versioned=True)
    data = bytes(range(256)) * 1000
    engine.clients.s3.put_object(Bucket=bucket, Key="k", Body=data)
    answer = engine.clients.s3.get_object(Bucket=bucket, Key="k")
    assert answer["ContentLength"] == len(data)
    first = answer["Body"].read(1000)
    assert first == data[:1000]
    assert first + b"".join(answer["Body"].iter_chunks(4096)) == data
    answer["Body"].close()


@promise(Service.S3, relied_on="a submission's digest, and whether it has a listing, in one write with its narinfo")
def test_metadata_comes_back(engine: Engine) -> None:
    """Metadata, content type and cache control come back as they were given; names of metadata in lower case."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    metadata = {"assay-submission": "x" * 64, "Assay-Warnings": '[{"code":"=?utf8?","paths":["a b"]}]'}
    s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"",
        Metadata=metadata,
        ContentType="text/x-nix-narinfo",
        CacheControl="public, max-age=3600",
    )
    expected = {name.lower(): value for name, value in metadata.items()}
    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert answer["Metadata"] == expected
        assert answer["ContentType"] == "text/x-nix-narinfo"
        assert answer["CacheControl"] == "public, max-age=3600"


@promise(
    Service.S3,
    relied_on="the limit of what warnings may take",
    broken={
        EngineName.MOTO: Breach("takes any amount"),
        EngineName.SEAWEEDFS: Breach("takes any amount"),
        EngineName.MINISTACK: Breach("takes any amount"),
    },
    documented="https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html",
)
def test_metadata_has_a_limit(engine: Engine) -> None:
    """Metadata of more than 2 KB is refused with MetadataTooLarge."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"name": "x" * 2044})
    too_large = {"name": "x" * 2045}
    assert refusal(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"", Metadata=too_large)) == "MetadataTooLarge"
