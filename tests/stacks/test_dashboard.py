"""The dashboard: it can be drawn, and shows what there is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol.verdicts import Kind
from stacks.alarms import RUNBOOKS
from tests.stacks.conftest import ROOT, Synthesis
from tests.stacks.policy_evaluator import Account

COLUMNS = 24


@pytest.fixture(scope="session")
def widgets(synthesis: Synthesis, account: Account) -> list[dict[str, Any]]:
    [dashboard] = map(account.resolve, synthesis.of_type("AWS::CloudWatch::Dashboard").values())
    assert dashboard["DashboardName"] == "assay-test"
    found = json.loads(dashboard["DashboardBody"])["widgets"]
    assert isinstance(found, list)
    return found


def test_widgets_fill_their_rows_and_none_lies_over_another(widgets: list[dict[str, Any]]) -> None:
    taken: set[tuple[int, int]] = set()
    for widget in widgets:
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not taken & cells
        taken |= cells
    rows = {y for _, y in taken}
    assert taken == {(x, y) for x in range(COLUMNS) for y in rows}


def test_every_verdict_is_shown(widgets: list[dict[str, Any]]) -> None:
    [verdicts] = [widget for widget in widgets if widget["properties"].get("title") == "Verdicts"]
    names = [metric[:-1] for metric in verdicts["properties"]["metrics"]]
    assert names == [
        ["Assay", "Submissions", "service", "ingest", "stage", "test", "verdict", verdict.value] for verdict in Kind
    ]
    assert verdicts["properties"]["stacked"]


def test_every_metric_is_of_this_deployment(widgets: list[dict[str, Any]], synthesis: Synthesis) -> None:
    """Two stages share an account: a sum over both says nothing of either."""
    functions, queues = synthesis.of_type("AWS::Lambda::Function"), synthesis.of_type("AWS::SQS::Queue")
    for widget in widgets:
        for metric in widget["properties"].get("metrics", []):
            namespace, _, *dimensions = [part for part in metric if isinstance(part, str)] or ["expression", ""]
            at = dict(zip(dimensions[::2], dimensions[1::2], strict=True))
            match namespace:
                case "Assay":
                    assert (at["stage"], at["service"]) == ("test", "ingest")
                    assert set(at) <= {"stage", "service", "verdict"}
                case "AWS/Lambda":
                    assert at["FunctionName"] in functions
                case "AWS/SQS":
                    assert any(at["QueueName"].startswith(name) for name in queues) or at["QueueName"]
                case "AWS/S3":
                    assert at["BucketName"].startswith("assay-test-cache-")
                case other:
                    assert other == "expression"


def test_all_alarms_are_on_it(widgets: list[dict[str, Any]], synthesis: Synthesis) -> None:
    [status] = [widget for widget in widgets if widget["type"] == "alarm"]
    assert len(status["properties"]["alarms"]) == len(synthesis.of_type("AWS::CloudWatch::Alarm"))


def test_it_says_where_the_runbooks_are(widgets: list[dict[str, Any]]) -> None:
    [text] = [widget["properties"]["markdown"] for widget in widgets if widget["type"] == "text"]
    assert RUNBOOKS in text
    assert (ROOT / RUNBOOKS / "README.md").is_file()
