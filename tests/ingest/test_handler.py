"""The function as Lambda starts it: from its environment alone, and in bounded memory."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from lambdas.ingest import handler as handler_module
from lambdas.ingest.adapters.body import CHUNK_SIZE
from local.aws import REGION
from nixcache.compression import Compression
from nixcache.errors import PermanentError
from protocol.verdicts import Published
from tests.ingest.store_objects import Builder, pack, store_path
from tests.ingest.world import KEY, Context, World, sqs_event


def test_it_starts_from_its_environment(
    world: World, builder: Builder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_bytes(world.policy.to_json())
    environment = {
        **replace(world.settings, policy_file=str(policy)).to_environment(),
        "AWS_ENDPOINT_URL": world.aws.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    thing = builder.build("leaf")
    world.submit(thing)
    response = handler_module.handler(sqs_event(*world.take_messages()), cast("Any", Context()))
    assert response == {"batchItemFailures": []}
    assert world.verdict(thing.path) == Published((KEY.name,))


def test_it_is_imported_without_aws_and_without_settings() -> None:
    """And without what no request needs: each import is paid for at every cold start."""
    program = (
        "import sys, lambdas.ingest.handler\n"
        "heavy = {'boto3', 's3transfer', 'pydantic', 'aws_cdk', 'moto', 'local', 'hook', 'stacks'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    finished = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True)
    assert finished.stdout == "[]\n"


def test_wrong_settings_fail_the_invocation_and_not_the_submissions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_STAGING_BUCKET", "")
    monkeypatch.delenv("ASSAY_QUEUE_URL", raising=False)
    broken = handler_module.make_handler(handler_module.start)
    with pytest.raises(PermanentError):
        broken(sqs_event("{}"), cast("Any", Context()))


def test_memory_does_not_grow_with_the_nar(world: World) -> None:
    """I7: measured where it counts, between the container's first and last byte of a NAR of 96 MiB."""
    words = (b"nix-archive-1", b"(", b"type", b"regular", b"contents", bytes(96 * 1024**2), b")")
    nar = b"".join(len(word).to_bytes(8, "little") + word + bytes(-len(word) % 8) for word in words)
    thing = pack(store_path("large"), nar, (), Compression.NONE)
    world.submit(thing)
    messages = world.take_messages()
    container = world.container()
    del nar
    tracemalloc.start()
    try:
        assert container(sqs_event(*messages)) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert world.verdict(thing.path) == Published((KEY.name,))
    assert peak < 12 * CHUNK_SIZE


@pytest.mark.parametrize(("receives", "seconds"), [(1, 15), (2, 60), (3, 240), (5, 3600), (12, 3600)])
def test_trouble_is_met_again_soon_at_first_and_then_ever_more_rarely(
    world: World, builder: Builder, receives: int, seconds: int
) -> None:
    """I6: and not only when the queue's visibility time-out is over, which has to be an hour and a half."""
    world.admin.secrets.delete_secret(SecretId=world.settings.signing_secret_id, ForceDeleteWithoutRecovery=True)
    world.submit(builder.build("leaf"))
    [message] = world.admin.sqs.receive_message(QueueUrl=world.settings.queue_url)["Messages"]
    event = sqs_event(message["Body"])
    record = event["Records"][0]
    record["receiptHandle"] = message["ReceiptHandle"]
    record["attributes"]["ApproximateReceiveCount"] = str(receives)
    asked: list[int] = []
    world.admin.sqs.meta.events.register(
        "provide-client-params.sqs.ChangeMessageVisibility",
        lambda params, **_: asked.append(params["VisibilityTimeout"]),
    )
    assert world.container()(event) == [message["Body"]]
    assert asked == [seconds]
