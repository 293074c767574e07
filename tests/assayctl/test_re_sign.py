"""What re-signing asks Step Functions for, and what it refuses before hours of work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from assayctl.commands import re_sign
from nixcache.signing import SecretKey
from protocol.outputs import Output
from tests.assayctl.conftest import Run, Stage

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:resigning"


class _StepFunctions:
    """Two answers that it runs, then its end; moto runs no Distributed Map, and `make deployment` does."""

    def __init__(self, end: str) -> None:
        self.started: list[Any] = []
        self._statuses: Iterator[str] = iter(["RUNNING", "RUNNING", end])

    def start_execution(self, *, stateMachineArn: str, input: str) -> dict[str, str]:  # noqa: A002, N803  boto3's
        assert stateMachineArn == MACHINE
        self.started.append(json.loads(input))
        return {"executionArn": "arn:run"}

    def describe_execution(self, *, executionArn: str) -> dict[str, str]:  # noqa: N803  boto3's
        assert executionArn == "arn:run"
        return {"status": next(self._statuses), "cause": "because"}


@pytest.fixture
def end() -> str:
    return "SUCCEEDED"


@pytest.fixture
def states(stage: Stage, end: str, monkeypatch: pytest.MonkeyPatch) -> _StepFunctions:
    monkeypatch.setattr(re_sign, "_POLL_SECONDS", 0)
    stage.outputs[Output.RESIGNING_STATE_MACHINE] = MACHINE
    fake = _StepFunctions(end)
    client = type(stage.session).client

    def made(self: boto3.Session, name: str, *arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401  boto3's own
        return fake if name == "stepfunctions" else client(self, name, *arguments, **keywords)  # type: ignore[call-overload]

    monkeypatch.setattr(type(stage.session), "client", made)
    monkeypatch.setattr("assayctl.deployment.Deployment.output", lambda _self, name: stage.outputs[name])
    return fake


@pytest.fixture
def keys(run: Run, tmp_path: Path) -> None:
    """Have `mine-1` retired, `mine-2` beside it, and `mine-3` sign."""
    for name, before in (("mine-1", None), ("mine-2", None), ("mine-3", "mine-1")):
        if before:
            run("retire-key", before)
        file = tmp_path / name
        file.write_text(SecretKey.generate(name).reveal())
        assert run("import-key", str(file)).code == 0


def _forgotten(stage: Stage) -> list[list[str]]:
    cloudfront = stage.session.client("cloudfront")
    listed = cloudfront.list_invalidations(DistributionId=stage[Output.DISTRIBUTION_ID])["InvalidationList"]
    made = [
        cloudfront.get_invalidation(DistributionId=stage[Output.DISTRIBUTION_ID], Id=item["Id"])["Invalidation"]
        for item in listed.get("Items", [])
    ]
    return [one["InvalidationBatch"]["Paths"]["Items"] for one in made]


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("arguments", "request_", "forgotten"),
    [
        ((), {"mode": "add"}, []),
        (("--reverify",), {"mode": "reverify", "revoked": []}, []),
        (("--revoked", "mine-1"), {"mode": "reverify", "revoked": ["mine-1"]}, [["/*"]]),
    ],
)
def test_it_waits_for_the_end(
    run: Run,
    stage: Stage,
    states: _StepFunctions,
    arguments: tuple[str, ...],
    request_: object,
    forgotten: list[list[str]],
) -> None:
    ended = run("re-sign", *arguments)
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "succeeded because"), ended.err
    assert states.started == [request_]
    assert _forgotten(stage) == forgotten


@pytest.mark.usefixtures("keys", "states")
def test_whoever_breaks_off_is_told_what_is_left_undone(
    run: Run, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    ended = run("re-sign", "--revoked", "mine-1")
    assert (ended.code, "The CDN goes on with the old text for an hour" in ended.out) == (130, True)
    assert _forgotten(stage) == []


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("end", ["FAILED"])
def test_what_was_done_is_delivered_also_where_some_were_left(run: Run, stage: Stage, states: _StepFunctions) -> None:
    ended = run("re-sign", "--revoked", "mine-1")
    assert (ended.code, ended.out.splitlines()[-1]) == (1, "failed because")
    assert _forgotten(stage) == [["/*"]]
    assert states.started


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mine-3", "mine-3 is the key that signs"),
        ("mine-2", "`assayctl retire-key mine-2`"),
    ],
)
def test_a_key_that_is_in_use_is_not_revoked(run: Run, states: _StepFunctions, name: str, said: str) -> None:
    ended = run("re-sign", "--revoked", "mine-1", "--revoked", name)
    assert (ended.code, said in ended.err) == (2, True), ended.err
    assert states.started == []


@pytest.mark.usefixtures("keys")
def test_a_name_that_was_never_announced_is_said(run: Run, states: _StepFunctions) -> None:
    """A typing error, or a key of the cache that was moved here."""
    ended = run("re-sign", "--revoked", "mine-l", "--no-wait")
    assert (ended.code, "never announced a key mine-l" in ended.err) == (0, True)
    assert "run once more" in ended.out
    assert states.started == [{"mode": "reverify", "revoked": ["mine-l"]}]
