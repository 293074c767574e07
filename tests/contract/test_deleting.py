"""Deletions in bulk, as markers are dropped."""

from __future__ import annotations

from tests.contract.asking import keys, put_versions
from tests.contract.engines import Engine, EngineName
from tests.contract.promises import Breach, Service, promise


@promise(Service.S3, relied_on="dropping markers that somebody else has dropped already (I6)")
def test_what_is_not_there_can_be_deleted(engine: Engine) -> None:
    """DeleteObjects of keys that do not exist reports no error."""
    bucket = engine.create_bucket(versioned=False)
    s3 = engine.clients.s3
    s3.put_object(Bucket=bucket, Key="there", Body=b"")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "there"}, {"Key": "gone"}], "Quiet": True})
    assert answer.get("Errors", []) == []
    assert keys(engine, bucket) == []


@promise(Service.S3, relied_on="dropping a whole page of markers at once")
def test_a_page_can_be_deleted_at_once(engine: Engine) -> None:
    """DeleteObjects takes 1,000 keys, as many as a page of ListObjectsV2 has."""
    bucket = engine.create_bucket(versioned=False)
    s3 = engine.clients.s3
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=f"{number:04}", Body=b"")
    names = [f"{number:04}" for number in range(1000)]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names]})
    assert sorted(item["Key"] for item in answer["Deleted"]) == names
    assert keys(engine, bucket) == []


@promise(Service.S3, relied_on="collecting a submission with all its versions")
def test_versions_are_deleted_for_good(engine: Engine) -> None:
    """DeleteObjects with version ids deletes those versions and leaves no delete marker."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    first, second, third = put_versions(engine, bucket, "k", b"1", b"2", b"3")
    s3.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "k", "VersionId": first}, {"Key": "k", "VersionId": third}], "Quiet": True},
    )
    page = s3.list_object_versions(Bucket=bucket)
    assert [version["VersionId"] for version in page["Versions"]] == [second]
    assert "DeleteMarkers" not in page


@promise(Service.S3, relied_on="a staging bucket whose objects were deleted, not their versions")
def test_a_deletion_leaves_a_marker(engine: Engine) -> None:
    """In a versioned bucket DeleteObject adds a delete marker and names its version."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    put_versions(engine, bucket, "k", b"1")
    answer = s3.delete_object(Bucket=bucket, Key="k")
    (marker,) = s3.list_object_versions(Bucket=bucket)["DeleteMarkers"]
    assert answer["DeleteMarker"]
    assert marker["VersionId"] == answer["VersionId"]


@promise(
    Service.S3,
    relied_on="nothing: whoever counts the versions of a key must not count its delete markers",
    broken={EngineName.MOTO: Breach("adds none")},
)
def test_a_deletion_leaves_a_marker_where_nothing_was(engine: Engine) -> None:
    """In a versioned bucket DeleteObject of a key that never existed adds a delete marker."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    marker = s3.delete_object(Bucket=bucket, Key="k").get("VersionId")
    page = s3.list_object_versions(Bucket=bucket)
    assert [found["VersionId"] for found in page.get("DeleteMarkers", [])] == [marker]
    assert "Versions" not in page
