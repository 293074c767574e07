"""Submissions made by hand, all the way through the service: what becomes of them when things go well, or badly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError

from local.demo.submission import Receipt, Sender, pack
from local.service import LocalService
from nixcache.narinfo import NarInfo
from nixcache.signing import SecretKey
from nixcache.store_path import NIX_STORE, StorePath
from nixcache.verify import verify
from protocol.delivery import MAX_RECEIVE_COUNT
from protocol.keys import BuilderName, ResultKey
from protocol.results import Result
from protocol.settings import Upstream
from protocol.verdicts import Duplicate, Published, Rejected, Waiting

ALICE, BOB = BuilderName("alice"), BuilderName("bob")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LocalService]:
    with (
        (tmp_path / "log").open("w") as log,
        LocalService(builders=(ALICE, BOB), first_retry_seconds=0, log=log) as running,
    ):
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("contents\n")
    return path


def queue_depth(service: LocalService, url: str) -> int:
    """Messages that were not deleted, visible or not."""
    sqs = service.aws.client("sqs", service.deployment.operator)
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])


def failures(service: LocalService) -> int:
    """Invocations that sent a message back."""
    return sum(report.response != {"batchItemFailures": []} for report in service.reports)


def wait_until(condition: str, holds: Callable[[], object], *, within: float = 100.0) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


def waits_for(sender: Sender, receipt: Receipt) -> tuple[StorePath, ...]:
    """Return what the submission waits for by now, according to its builder's results."""
    try:
        document = sender.read_ledger(str(ResultKey(sender.builder, receipt.key.hash_part)))
    except ClientError:
        return ()
    verdict = Result.from_json(document).verdict
    return verdict.missing if isinstance(verdict, Waiting) else ()


@contextmanager
def without_key(service: LocalService) -> Iterator[None]:
    """Put something into the secret that is no key, as an operator might, and mend it at the end."""
    secrets = service.aws.client("secretsmanager", service.deployment.operator)
    secret_id = service.deployment.settings.signing_secret_id
    key = secrets.get_secret_value(SecretId=secret_id, VersionStage="AWSCURRENT")["SecretString"]
    secrets.put_secret_value(SecretId=secret_id, SecretString="no key")
    yield
    secrets.put_secret_value(SecretId=secret_id, SecretString=key)


def fetch(service: LocalService, path: str) -> bytes:
    with urlopen(f"{service.cache_url}/{path}") as response:  # noqa: S310 - our own address
        body: bytes = response.read()
        return body


def test_what_is_published_is_signed_and_verifies_from_its_bytes(service: LocalService, file: Path) -> None:
    submission = pack(file, NIX_STORE, "file")
    verdict = Sender(service, ALICE).submit(submission)
    assert verdict == Published((service.deployment.public_key.name,))
    narinfo = NarInfo.parse(fetch(service, f"{submission.narinfo.store_path.hash_part}.narinfo"), NIX_STORE)
    assert narinfo.is_signed_by(service.deployment.public_key)
    verify(narinfo, [fetch(service, narinfo.url)])
    assert b"StoreDir: /nix/store" in fetch(service, "nix-cache-info")


def test_a_referrer_that_comes_first_waits_and_is_woken_by_its_reference(service: LocalService, file: Path) -> None:
    """I4, I6: across builders, and the second wakes the first without anybody polling."""
    reference = pack(file, NIX_STORE, "reference")
    file.write_text(f"see {NIX_STORE.render(reference.narinfo.store_path)}\n")
    referrer = pack(file, NIX_STORE, "referrer", references=(reference.narinfo.store_path,))
    alice, bob = Sender(service, ALICE), Sender(service, BOB)
    receipt = alice.send(referrer)
    wait_until("the referrer waits", lambda: waits_for(alice, receipt) == (reference.narinfo.store_path,))
    with pytest.raises(OSError, match="404"):
        fetch(service, f"{referrer.narinfo.store_path.hash_part}.narinfo")
    assert isinstance(bob.submit(reference), Published)
    assert isinstance(alice.verdict(receipt), Published)


@pytest.mark.parametrize("trusted", [True, False])
def test_an_upstream_stands_in_for_a_reference_if_its_signature_is_trusted(
    service: LocalService, file: Path, tmp_path: Path, *, trusted: bool
) -> None:
    """I4: the upstream is another Assay with a key of its own; under any other key the submission waits."""
    reference = pack(file, NIX_STORE, "reference")
    assert isinstance(Sender(service, ALICE).submit(reference), Published)
    file.write_text(f"see {NIX_STORE.render(reference.narinfo.store_path)}\n")
    referrer = pack(file, NIX_STORE, "referrer", references=(reference.narinfo.store_path,))
    key = service.deployment.public_key
    upstream = Upstream(service.cache_url, (key if trusted else SecretKey.generate(key.name).public_key,))
    with (
        (tmp_path / "downstream.log").open("w") as log,
        LocalService(builders=(ALICE,), upstreams=(upstream,), log=log) as downstream,
    ):
        alice = Sender(downstream, ALICE)
        receipt = alice.send(referrer)
        if trusted:
            assert isinstance(alice.verdict(receipt), Published)
        else:
            wait_until("the referrer waits", lambda: waits_for(alice, receipt) == (reference.narinfo.store_path,))


def test_what_is_larger_than_the_deployment_allows_is_rejected(file: Path, tmp_path: Path) -> None:
    """I7: one byte decides."""
    submission = pack(file, NIX_STORE, "file")
    size = submission.narinfo.nar_size
    for limit, published in ((size, True), (size - 1, False)):
        with (
            (tmp_path / "small.log").open("w") as log,
            LocalService(builders=(ALICE,), max_nar_size=limit, log=log) as service,
        ):
            verdict = Sender(service, ALICE).submit(submission)
            assert isinstance(verdict, Published) is published
            if isinstance(verdict, Rejected):
                assert (verdict.code, verdict.field) == ("too-large", "NarSize")


def test_the_same_object_from_another_builder_is_a_duplicate(service: LocalService, file: Path) -> None:
    submission = pack(file, NIX_STORE, "file")
    assert isinstance(Sender(service, ALICE).submit(submission), Published)
    assert Sender(service, BOB).submit(submission) == Duplicate()


def test_trouble_in_aws_delays_a_submission_and_loses_none(service: LocalService, file: Path) -> None:
    """I6: the message returns to the queue, comes again, and is then published."""
    with without_key(service):
        receipt = Sender(service, ALICE).send(pack(file, NIX_STORE, "file"))
        wait_until("ingest has tried", lambda: failures(service))
    assert isinstance(Sender(service, ALICE).verdict(receipt), Published)
    wait_until("the queue is empty", lambda: queue_depth(service, service.deployment.settings.queue_url) == 0)


def test_trouble_that_lasts_ends_in_the_dead_letter_queue(service: LocalService, file: Path) -> None:
    """I6: after the agreed number of deliveries the submission is kept there, and the queue is free."""
    with without_key(service):
        receipt = Sender(service, ALICE).send(pack(file, NIX_STORE, "file"))
        wait_until("it is a dead letter", lambda: queue_depth(service, service.deployment.dead_letter_queue_url) == 1)
        assert queue_depth(service, service.deployment.settings.queue_url) == 0
        assert failures(service) == MAX_RECEIVE_COUNT
        with pytest.raises(ClientError, match="NoSuchKey"):
            Sender(service, ALICE).read_ledger(str(ResultKey(ALICE, receipt.key.hash_part)))
