"""Who has waited too long is woken, and nobody else; and what becomes of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from lambdas.ingest.adapters.clients import Clients
from lambdas.sweep.handler import TO_FINISH_SECONDS, sweep
from nixcache.errors import TransientError
from protocol import wake
from protocol.keys import StagingNarInfoKey, WaitingKey
from protocol.settings import SECONDS_OF_A_DAY, SweepSettings
from protocol.verdicts import AwaitingQuorum, Duplicate, Published, Rejected, ServiceCode, Waiting
from tests.concurrency.deployment import ALICE, BOB, KEY, SimulatedDeployment
from tests.ingest.store_objects import Builder, store_path
from tests.ingest.world import World
from tests.simulator.requests import Answer, Request

A_PAGE = 1000


def _settings(deployment: SimulatedDeployment) -> SweepSettings:
    return SweepSettings(
        ledger_bucket="ledger",
        queue_url=deployment.queue.url,
        max_waiting_seconds=deployment.settings.max_waiting_seconds,
    )


def _sweep(
    deployment: SimulatedDeployment, clients: Clients | None = None, *, remaining: Callable[[], float] = lambda: 900
) -> int:
    return sweep(_settings(deployment), clients or deployment.connect(), deployment.aws.clock.now, remaining)


def _woken(deployment: SimulatedDeployment) -> list[StagingNarInfoKey]:
    return [wake.parse(json.loads(message.body)) for message in deployment.queue.messages]


def _leave_markers(deployment: SimulatedDeployment, count: int) -> list[WaitingKey]:
    """Leave ``count`` markers, in the order in which S3 lists them, each at another path."""
    markers = sorted(
        (
            WaitingKey(store_path(f"missing-{n}").hash_part, ALICE, store_path(f"waits-{n}").hash_part)
            for n in range(count)
        ),
        key=str,
    )
    s3 = deployment.connect().s3
    for marker in markers:
        s3.put_object(Bucket="ledger", Key=str(marker), Body=b"")
    return markers


def _key(marker: WaitingKey) -> StagingNarInfoKey:
    return StagingNarInfoKey(marker.builder, marker.hash_part)


def test_i6_who_waits_in_vain_is_told_and_can_come_again(deployment: SimulatedDeployment, builder: Builder) -> None:
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    deployment.submit(top)
    deployment.drain()
    assert deployment.result(top.path).verdict == Waiting((leaf.path,))

    deployment.aws.clock.advance(deployment.settings.max_waiting_seconds + 2)
    assert _sweep(deployment) == 1
    deployment.drain()
    verdict = deployment.result(top.path).verdict
    assert isinstance(verdict, Rejected)
    assert verdict.code == ServiceCode.REFERENCES_MISSING
    assert leaf.path.base_name in verdict.problem

    deployment.submit(top)
    deployment.drain()
    assert deployment.result(top.path).verdict == Waiting((leaf.path,))
    assert _sweep(deployment) == 0, "it has only begun to wait"
    deployment.submit(leaf)
    deployment.drain()
    assert deployment.result(top.path).verdict == Published((KEY.name,))


def test_i6_who_has_nobody_to_agree_with_is_told_and_can_come_again(
    deployment: SimulatedDeployment, builder: Builder
) -> None:
    thing = builder.build("voted-thing")
    deployment.submit(thing, ALICE)
    deployment.drain()
    assert deployment.result(thing.path, ALICE).verdict == AwaitingQuorum(1, 2)

    deployment.aws.clock.advance(deployment.settings.max_waiting_seconds + 2)
    assert _sweep(deployment) == 1
    deployment.drain()
    verdict = deployment.result(thing.path, ALICE).verdict
    assert isinstance(verdict, Rejected)
    assert verdict.code == ServiceCode.QUORUM_MISSING

    deployment.submit(thing, ALICE)
    deployment.drain()
    assert deployment.result(thing.path, ALICE).verdict == AwaitingQuorum(1, 2)
    deployment.submit(thing, BOB)
    deployment.drain()
    assert deployment.result(thing.path, BOB).verdict == Published((KEY.name,))
    assert deployment.result(thing.path, ALICE).verdict == Duplicate()


def test_a_sweep_changes_nothing_for_who_is_rejected_already(deployment: SimulatedDeployment, builder: Builder) -> None:
    """Its marker lies there until it expires, so it is woken every day."""
    top = builder.build("top", [builder.build("leaf")])
    deployment.submit(top)
    deployment.drain()
    deployment.aws.clock.advance(deployment.settings.max_waiting_seconds + 2)
    _sweep(deployment)
    deployment.drain()
    told = deployment.result(top.path)
    deployment.aws.clock.advance(SECONDS_OF_A_DAY)
    assert _sweep(deployment) == 1
    deployment.drain()
    assert deployment.result(top.path) == told


def test_it_leaves_alone_who_has_not_waited_long_enough(deployment: SimulatedDeployment) -> None:
    old, young = _leave_markers(deployment, 2)
    deployment.aws.clock.advance(SECONDS_OF_A_DAY)
    deployment.connect().s3.put_object(Bucket="ledger", Key=str(young), Body=b"")
    deployment.aws.clock.advance(deployment.settings.max_waiting_seconds - SECONDS_OF_A_DAY)
    assert _sweep(deployment) == 0, "both may wait to the last second"
    deployment.aws.clock.advance(1)
    assert _sweep(deployment) == 1
    assert _woken(deployment) == [_key(old)]


def test_a_ledger_without_markers_is_swept_in_one_request(deployment: SimulatedDeployment) -> None:
    sent: list[str] = []
    assert _sweep(deployment, deployment.connect(before=lambda request: sent.append(str(request)))) == 0
    assert sent == ["ListObjectsV2 ledger/waiting/*"]


def test_i6_nobody_is_passed_over_however_many_are_taken_away_meanwhile(deployment: SimulatedDeployment) -> None:
    """Ingest takes markers away as soon as it is woken: all of a page may be gone before the next one is listed."""
    markers = _leave_markers(deployment, 2 * A_PAGE + 500)
    deployment.aws.clock.advance(deployment.settings.max_waiting_seconds + 2)
    ingest = deployment.connect().s3
    listed = Counter[str]()

    def take_away_what_is_listed(request: Request, answer: Answer | None) -> None:
        assert answer is not None
        listed[request.operation] += 1
        if request.operation != "ListObjectsV2":
            return
        page = [str(marker) for marker in markers[A_PAGE * (listed["ListObjectsV2"] - 1) :][:A_PAGE]]
        ingest.delete_objects(Bucket="ledger", Delete={"Objects": [{"Key": key} for key in page], "Quiet": True})

    assert _sweep(deployment, deployment.connect(after=take_away_what_is_listed)) == len(markers)
    assert _woken(deployment) == [_key(marker) for marker in markers], "each once"
    assert listed == {"ListObjectsV2": 3, "SendMessageBatch": 250}


def test_a_run_without_time_left_begins_no_further_page(deployment: SimulatedDeployment) -> None:
    markers = _leave_markers(deployment, 2 * A_PAGE)
    deployment.aws.clock.advance(deployment.settings.max_waiting_seconds + 2)
    assert _sweep(deployment, remaining=lambda: TO_FINISH_SECONDS - 1) == A_PAGE
    assert _woken(deployment) == [_key(marker) for marker in markers[:A_PAGE]], "what was begun is done"


def test_i6_a_batch_that_went_through_in_part_is_an_error_and_the_next_run_wakes_all(
    deployment: SimulatedDeployment,
) -> None:
    """SQS answers 200 to it. Lambda tries an invocation again that fails, and there is tomorrow."""
    markers = _leave_markers(deployment, 12)
    deployment.aws.clock.advance(deployment.settings.max_waiting_seconds + 2)

    def refuse_one(request: Request, answer: Answer | None) -> None:
        if request.operation == "SendMessageBatch" and answer is not None:
            deployment.queue.delete(_receipt(deployment))
            answer["Failed"] = [{"Id": "9", "Code": "InternalError", "SenderFault": False}]

    with pytest.raises(TransientError, match="refused 1 messages: InternalError"):
        _sweep(deployment, deployment.connect(after=refuse_one))
    assert len(_woken(deployment)) == 9
    assert _sweep(deployment) == len(markers)
    assert set(_woken(deployment)) == {_key(marker) for marker in markers}


def _receipt(deployment: SimulatedDeployment) -> str:
    last = deployment.queue.messages[-1]
    assert deployment.queue.take(last)
    return last.receipt_handle


def test_the_same_through_moto(world: World, builder: Builder) -> None:
    """Another S3, that reads the requests as they go over the wire."""
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    world.submit(top)
    world.run()
    settings = SweepSettings(
        ledger_bucket=world.settings.ledger_bucket,
        queue_url=world.settings.queue_url,
        max_waiting_seconds=world.settings.max_waiting_seconds,
    )
    now = datetime.now(UTC)
    assert sweep(settings, world.admin, now, lambda: 900) == 0
    later = now + timedelta(seconds=settings.max_waiting_seconds + 60)
    assert sweep(settings, world.admin, later, lambda: 900) == 1
    world.now = lambda: later
    world.run()
    verdict = world.verdict(top.path)
    assert isinstance(verdict, Rejected)
    assert verdict.code == ServiceCode.REFERENCES_MISSING
