"""I8 on this machine: moto enforces the policies of the access keys that the service hands out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

import pytest
from botocore.exceptions import ClientError

from local.aws import Credentials
from local.service import LocalService
from protocol.keys import BuilderName

ALICE, MALLORY = BuilderName("alice"), BuilderName("mallory")


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    with LocalService(builders=(ALICE, MALLORY)) as running:
        yield running


def denied(attempt: Callable[[], object]) -> bool:
    """Tell whether AWS refuses it with 403; whatever else goes wrong passes."""
    try:
        attempt()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.FORBIDDEN:
            return True
        raise
    return False


def test_a_builder_writes_below_its_own_prefix_alone(service: LocalService) -> None:
    """I8, with a control: the same request below its own prefix goes through."""
    settings = service.deployment.settings
    s3 = service.aws.client("s3", service.deployment.builders[MALLORY])

    def put(bucket: str, key: str) -> bool:
        return denied(lambda: s3.put_object(Bucket=bucket, Key=key, Body=b"x"))

    assert not put(settings.staging_bucket, "mallory/nar/x")
    assert not put(settings.staging_bucket, "mallory/log/0+a?b=c.drv")
    assert put(settings.staging_bucket, "alice/nar/x")
    assert put(settings.staging_bucket, "x")
    assert put(settings.staging_bucket, "mallory2/x")
    assert put(settings.cache_bucket, "mallory/x")
    assert put(settings.ledger_bucket, "results/mallory/x.json")
    upload = s3.create_multipart_upload(Bucket=settings.staging_bucket, Key="mallory/nar/y")
    assert not denied(
        lambda: s3.abort_multipart_upload(
            Bucket=settings.staging_bucket, Key="mallory/nar/y", UploadId=upload["UploadId"]
        )
    )
    assert denied(lambda: s3.create_multipart_upload(Bucket=settings.staging_bucket, Key="alice/nar/y"))


def test_a_builder_reads_its_own_results_alone(service: LocalService) -> None:
    """I8: neither another's results, nor what anybody staged, its own uploads included."""
    settings = service.deployment.settings
    operator = service.aws.client("s3", service.deployment.operator)
    for key in ("results/alice/x.json", "results/mallory/x.json", "provenance/x.json"):
        operator.put_object(Bucket=settings.ledger_bucket, Key=key, Body=b"x")
    operator.put_object(Bucket=settings.staging_bucket, Key="mallory/x", Body=b"x")
    s3 = service.aws.client("s3", service.deployment.builders[MALLORY])

    def get(bucket: str, key: str) -> bool:
        return denied(lambda: s3.get_object(Bucket=bucket, Key=key))

    assert not get(settings.ledger_bucket, "results/mallory/x.json")
    assert get(settings.ledger_bucket, "results/alice/x.json")
    assert get(settings.ledger_bucket, "provenance/x.json")
    assert get(settings.staging_bucket, "mallory/x")
    assert denied(lambda: s3.list_objects_v2(Bucket=settings.ledger_bucket))
    assert denied(lambda: s3.delete_object(Bucket=settings.staging_bucket, Key="mallory/x"))


@pytest.mark.parametrize("who", ["builder", "reader", "nobody"])
def test_nobody_but_ingest_reads_the_key_or_writes_to_the_queue(service: LocalService, who: str) -> None:
    """I8, with a control."""
    deployment = service.deployment

    def reads(credentials: Credentials) -> bool:
        secrets = service.aws.client("secretsmanager", credentials)
        return not denied(lambda: secrets.get_secret_value(SecretId=deployment.settings.signing_secret_id))

    def sends(credentials: Credentials) -> bool:
        sqs = service.aws.client("sqs", credentials)
        return not denied(lambda: sqs.send_message(QueueUrl=deployment.settings.queue_url, MessageBody="{}"))

    credentials = {
        "builder": deployment.builders[ALICE],
        "reader": deployment.reader,
        "nobody": Credentials("AKIAIOSFODNN7EXAMPLE", "secret"),
    }[who]
    assert not reads(credentials)
    assert not sends(credentials)
    assert reads(deployment.ingest)


def test_ingest_can_neither_delete_from_the_cache_nor_write_to_staging(service: LocalService) -> None:
    settings = service.deployment.settings
    s3 = service.aws.client("s3", service.deployment.ingest)
    assert not denied(lambda: s3.put_object(Bucket=settings.cache_bucket, Key="nar/x", Body=b"x"))
    assert denied(lambda: s3.delete_object(Bucket=settings.cache_bucket, Key="nar/x"))
    assert denied(lambda: s3.put_object(Bucket=settings.staging_bucket, Key="alice/x", Body=b"x"))


def test_the_reader_reads_the_cache_alone(service: LocalService) -> None:
    settings = service.deployment.settings
    operator = service.aws.client("s3", service.deployment.operator)
    for bucket in (settings.cache_bucket, settings.staging_bucket, settings.ledger_bucket):
        operator.put_object(Bucket=bucket, Key="x", Body=b"x")
    s3 = service.aws.client("s3", service.deployment.reader)
    assert not denied(lambda: s3.get_object(Bucket=settings.cache_bucket, Key="x"))
    assert denied(lambda: s3.get_object(Bucket=settings.staging_bucket, Key="x"))
    assert denied(lambda: s3.get_object(Bucket=settings.ledger_bucket, Key="x"))
    assert denied(lambda: s3.put_object(Bucket=settings.cache_bucket, Key="x", Body=b"y"))
