"""Writes on a condition: what decides who was first, and keeps an older result from covering a newer one."""

from __future__ import annotations

from tests.contract.asking import race, read, refusal
from tests.contract.engines import Engine, EngineName
from tests.contract.promises import Breach, Service, promise

RACERS = 8
ROUNDS = 5


@promise(Service.S3, relied_on="publishing: the first writer of a narinfo wins (I3)", repaired=[EngineName.MOTO])
def test_one_conditional_create_wins(engine: Engine) -> None:
    """Of those who create one key at once with `If-None-Match: *`, exactly one succeeds, and its bytes stay."""
    bucket = engine.create_bucket(versioned=True)
    for number in range(ROUNDS):
        key = f"{number}.narinfo"

        def create(racer: int, key: str = key) -> None:
            engine.clients.s3.put_object(Bucket=bucket, Key=key, Body=str(racer).encode(), IfNoneMatch="*")

        winners = race([lambda racer=racer: create(racer) for racer in range(RACERS)])  # type: ignore[misc]
        assert [str(winner).encode() for winner in winners] == [read(engine, bucket, key)]


@promise(Service.S3, relied_on="publishing: what is there is never replaced (I3)")
def test_a_key_that_is_taken_is_not_created(engine: Engine) -> None:
    """`If-None-Match: *` on a key that exists is refused with PreconditionFailed, and changes nothing."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    assert refusal(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")) == "PreconditionFailed"
    assert read(engine, bucket, "k") == b"first"
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1


@promise(Service.S3, relied_on="publishing again what an operator deleted")
def test_a_deleted_key_can_be_created(engine: Engine) -> None:
    """`If-None-Match: *` holds where the newest version is a delete marker."""
    bucket = engine.create_bucket(versioned=True)
    s3 = engine.clients.s3
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    s3.delete_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    assert read(engine, bucket, "k") == b"second"


@promise(Service.S3, relied_on="results and votes: replaced only by who has read what is there (I6)")
def test_what_was_read_can_be_replaced(engine: Engine) -> None:
    """`If-Match` with the ETag that a read gave replaces the object."""
    bucket = engine.create_bucket(versioned=False)
    s3 = engine.clients.s3
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    etag = s3.get_object(Bucket=bucket, Key="k")["ETag"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfMatch=etag)
    assert read(engine, bucket, "k") == b"second"


@promise(Service.S3, relied_on="results: never written backwards by an older event (I6)")
def test_what_has_changed_is_not_replaced(engine: Engine) -> None:
    """`If-Match` with an ETag that the object has no longer is refused with PreconditionFailed; nothing changes."""
    bucket = engine.create_bucket(versioned=False)
    s3 = engine.clients.s3
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["ETag"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    assert refusal(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)) == "PreconditionFailed"
    assert read(engine, bucket, "k") == b"second"


@promise(
    Service.S3,
    relied_on="results and votes: one that was deleted meanwhile is not written again unseen",
    broken={EngineName.SEAWEEDFS: Breach("refuses with PreconditionFailed")},
)
def test_what_is_gone_is_not_replaced(engine: Engine) -> None:
    """`If-Match` on a key that does not exist is refused with NoSuchKey."""
    bucket = engine.create_bucket(versioned=False)
    s3 = engine.clients.s3
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["ETag"]
    s3.delete_object(Bucket=bucket, Key="k")
    assert refusal(lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)) == "NoSuchKey"
    assert refusal(lambda: s3.get_object(Bucket=bucket, Key="k")) == "NoSuchKey"


@promise(Service.S3, relied_on="results and votes: no update is lost (I6)", repaired=[EngineName.MOTO])
def test_one_replacement_wins(engine: Engine) -> None:
    """Of those who replace one version at once with its ETag in `If-Match`, exactly one succeeds."""
    bucket = engine.create_bucket(versioned=False)
    s3 = engine.clients.s3
    for number in range(ROUNDS):
        key = f"{number}.json"
        etag = s3.put_object(Bucket=bucket, Key=key, Body=b"before")["ETag"]

        def replace(racer: int, key: str = key, etag: str = etag) -> None:
            s3.put_object(Bucket=bucket, Key=key, Body=str(racer).encode(), IfMatch=etag)

        winners = race([lambda racer=racer: replace(racer) for racer in range(RACERS)])  # type: ignore[misc]
        assert [str(winner).encode() for winner in winners] == [read(engine, bucket, key)]
