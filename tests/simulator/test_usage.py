"""How a deployment is simulated: ingest's real handler over an AWS in memory, and the death of a container."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from lambdas.ingest.handler import make_handler
from lambdas.ingest.wiring import build_delivery
from protocol.keys import NARINFO_SUFFIX, CacheNarInfoKey, NarFile, StagingNarInfoKey, StagingNarKey
from protocol.policy import SubmissionPolicy
from protocol.settings import IngestSettings
from tests.ingest.store_objects import Builder
from tests.ingest.world import ALICE, KEY, Context
from tests.simulator.aws import SimulatedAws, lambda_event
from tests.simulator.errors import Killed
from tests.simulator.scheduler import Scheduler, Step, replay
from tests.simulator.serial_pool import one_thread_a_container


def test_a_submission_is_published_although_a_container_dies(tmp_path: Path) -> None:
    """I6: two containers have the same message; one is killed before its commit, the other one publishes."""
    aws = SimulatedAws()
    staging, cache = aws.create_bucket("staging", versioned=True), aws.create_bucket("cache", versioned=True)
    aws.create_bucket("ledger", versioned=False)
    queue = aws.create_queue("ingest")
    aws.notify(staging, queue, suffix=NARINFO_SUFFIX)
    aws.put_secret("key", KEY.reveal())
    settings = IngestSettings(
        staging_bucket="staging",
        cache_bucket="cache",
        ledger_bucket="ledger",
        queue_url=queue.url,
        signing_secret_id="key",
        policy_file="given directly",
        upstreams=(),
    )
    thing = Builder(tmp_path).build("leaf")
    admin = aws.connect()
    admin.s3.put_object(
        Bucket="staging", Key=str(StagingNarKey(ALICE, NarFile.parse_url(thing.narinfo.url))), Body=thing.file
    )
    narinfo_key = StagingNarInfoKey(ALICE, thing.path.hash_part)
    admin.s3.put_object(Bucket="staging", Key=str(narinfo_key), Body=thing.narinfo.render())
    event = cast("dict[str, Any]", lambda_event(queue, queue.receive()))
    published = str(CacheNarInfoKey(thing.path.hash_part))

    def fate(step: Step) -> BaseException | None:
        dies = (step.actor, step.request.operation, step.request.target)
        return Killed() if dies == ("first", "PutObject", f"cache/{published}") else None

    scheduler = Scheduler(replay([0, 1, 1, 0, 1]), fate=fate)

    def invoke() -> int:
        clients = aws.connect(before=scheduler.before)
        policy = SubmissionPolicy.open_to((ALICE,), settings.max_nar_size)
        handler = make_handler(lambda: build_delivery(settings, policy, clients, now=lambda: aws.clock.now))
        return len(handler(event, cast("Any", Context()))["batchItemFailures"])

    with one_thread_a_container():
        outcomes = scheduler.run({"first": invoke, "second": invoke})
    assert isinstance(outcomes["first"].error, Killed), scheduler.story()
    assert outcomes["second"].value == 0, scheduler.story()
    assert cache.read(published) is not None
