"""Listings: complete at any moment, in one order, and safe to go on with while pages are being deleted."""

from __future__ import annotations

from tests.contract.asking import keys, put_versions
from tests.contract.engines import Engine
from tests.contract.promises import Service, promise


def _fill(engine: Engine, bucket: str, *names: str) -> None:
    for name in names:
        engine.clients.s3.put_object(Bucket=bucket, Key=name, Body=b"x")


@promise(Service.S3, relied_on="waking: a marker that is written is listed, whoever lists it (I6)")
def test_a_write_is_listed(engine: Engine) -> None:
    """ListObjectsV2 lists what was written before it, and not what was deleted before it."""
    for versioned in (True, False):
        bucket = engine.create_bucket(versioned=versioned)
        for number in range(5):
            _fill(engine, bucket, f"waiting/{number}")
            assert f"waiting/{number}" in keys(engine, bucket, "waiting/")
            engine.clients.s3.delete_object(Bucket=bucket, Key=f"waiting/{number}")
            assert keys(engine, bucket, "waiting/") == []


@promise(Service.S3, relied_on="waking those who wait for one path, and nobody else")
def test_a_prefix_is_taken_by_the_letter(engine: Engine) -> None:
    """ListObjectsV2 lists exactly the keys that begin with the prefix, in the order of their UTF-8 bytes."""
    bucket = engine.create_bucket(versioned=False)
    names = ["a/1", "a/10", "a/2", "a/B", "a/b", "a/é", "a/\U0001f600", "a0", "A/1", "b/a/1"]
    _fill(engine, bucket, *reversed(names))
    assert keys(engine, bucket, "a/") == sorted(names[:7])
    assert keys(engine, bucket) == sorted(names)


@promise(Service.S3, relied_on="waking: the page before has been deleted meanwhile")
def test_a_listing_goes_on_after_a_key_that_is_gone(engine: Engine) -> None:
    """ListObjectsV2 with `StartAfter` begins behind that key, be it there or deleted."""
    bucket = engine.create_bucket(versioned=False)
    names = [f"waiting/{number:02}" for number in range(10)]
    _fill(engine, bucket, *names)
    s3 = engine.clients.s3
    page = s3.list_objects_v2(Bucket=bucket, Prefix="waiting/", MaxKeys=4)
    assert page["IsTruncated"]
    seen = [item["Key"] for item in page["Contents"]]
    assert seen == names[:4]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in seen]})
    page = s3.list_objects_v2(Bucket=bucket, Prefix="waiting/", StartAfter=seen[-1])
    assert [item["Key"] for item in page["Contents"]] == names[4:]
    assert not page["IsTruncated"]


@promise(Service.S3, relied_on="sweeping through a whole bucket")
def test_pages_lead_to_each_other(engine: Engine) -> None:
    """ListObjectsV2 gives each key once over all pages that the continuation tokens lead to."""
    bucket = engine.create_bucket(versioned=False)
    names = [f"{number:02}" for number in range(7)]
    _fill(engine, bucket, *names)
    s3 = engine.clients.s3
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=3)
    seen = [item["Key"] for item in page["Contents"]]
    while page["IsTruncated"]:
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=3, ContinuationToken=page["NextContinuationToken"])
        seen += [item["Key"] for item in page["Contents"]]
    assert seen == names


@promise(Service.S3, relied_on="a path that nobody waits for")
def test_an_empty_listing_has_no_contents(engine: Engine) -> None:
    """ListObjectsV2 of a prefix without keys has no Contents, a KeyCount of 0, and is not truncated."""
    bucket = engine.create_bucket(versioned=False)
    _fill(engine, bucket, "other")
    page = engine.clients.s3.list_objects_v2(Bucket=bucket, Prefix="waiting/")
    assert "Contents" not in page
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


@promise(Service.S3, relied_on="ordering the versions of a submission when their times cannot (I6)")
def test_versions_are_listed_newest_first(engine: Engine) -> None:
    """ListObjectVersions lists the versions of a key from the newest to the oldest, also within one second."""
    bucket = engine.create_bucket(versioned=True)
    version_ids = put_versions(engine, bucket, "k", *(str(number).encode() for number in range(12)))
    listed = engine.clients.s3.list_object_versions(Bucket=bucket, Prefix="k")["Versions"]
    assert [version["VersionId"] for version in listed] == version_ids[::-1]
    assert [version["IsLatest"] for version in listed] == [True] + [False] * 11


@promise(Service.S3, relied_on="seeing that a submission was taken back")
def test_delete_markers_are_listed(engine: Engine) -> None:
    """ListObjectVersions lists delete markers, newest first, and names the one on top as the latest."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    first, second = put_versions(engine, bucket, "k", b"first", b"second")
    markers = [s3.delete_object(Bucket=bucket, Key="k")["VersionId"] for _ in range(2)]
    page = s3.list_object_versions(Bucket=bucket, Prefix="k")
    assert [version["VersionId"] for version in page["Versions"]] == [second, first]
    assert not any(version["IsLatest"] for version in page["Versions"])
    found = [(marker["VersionId"], marker["IsLatest"]) for marker in page["DeleteMarkers"]]
    assert found == [(markers[1], True), (markers[0], False)]
    assert keys(engine, bucket) == []


@promise(Service.S3, relied_on="versions of one submission, not of others whose keys begin with its key")
def test_versions_are_listed_by_key(engine: Engine) -> None:
    """ListObjectVersions lists the keys under a prefix in their order, all versions of one before the next key."""
    bucket = engine.create_bucket(versioned=True)
    for _ in range(2):
        _fill(engine, bucket, "k.narinfo", "k.narinfo.bak", "j", "k")
    listed = engine.clients.s3.list_object_versions(Bucket=bucket, Prefix="k")["Versions"]
    assert [version["Key"] for version in listed] == ["k", "k", *["k.narinfo"] * 2, *["k.narinfo.bak"] * 2]


@promise(Service.S3, relied_on="a key with more versions than a page holds")
def test_pages_of_versions_lead_to_each_other(engine: Engine) -> None:
    """ListObjectVersions gives each version and delete marker once over all pages that the markers lead to."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    expected = []
    for name in ("j", "k"):
        written = put_versions(engine, bucket, name, b"1", b"2", b"3")
        expected += [(name, version_id) for version_id in reversed(written)]
    page = s3.list_object_versions(Bucket=bucket, MaxKeys=2)
    seen = [(version["Key"], version["VersionId"]) for version in page["Versions"]]
    while page["IsTruncated"]:
        page = s3.list_object_versions(
            Bucket=bucket, MaxKeys=2, KeyMarker=page["NextKeyMarker"], VersionIdMarker=page["NextVersionIdMarker"]
        )
        seen += [(version["Key"], version["VersionId"]) for version in page["Versions"]]
    assert seen == expected
