"""A deployment is found by its outputs."""

from __future__ import annotations

import pytest

from assayctl.cli import main
from tests.assayctl.conftest import Run, Stage


@pytest.mark.usefixtures("stage")
def test_a_stage_that_is_not_deployed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stage", "nowhere", "status"]) == 2
    assert "There is no stack Assay-nowhere in us-east-1." in capsys.readouterr().err


def test_what_this_deployment_lacks_is_said(run: Run) -> None:
    ended = run("re-sign")
    assert ended.code == 2
    assert "has no output ResigningStateMachine. Deploy this version first" in ended.err


def test_an_aws_that_does_not_answer_is_one_line(stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stage.name
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    ended = run("status")
    assert (ended.code, len(ended.err.splitlines())) == (4, 1)


def test_no_region_is_one_line(stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stage.name
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    ended = run("status")
    assert (ended.code, len(ended.err.splitlines())) == (4, 1)
