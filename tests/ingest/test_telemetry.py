"""What CloudWatch gets: one line for each thing, with numbers that alarms and dashboard find by the same names."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lambdas.emf import NAMESPACE, EventLog, Level, Metric, Unit
from lambdas.ingest.adapters.telemetry import DISPROVED, CloudWatch
from lambdas.ingest.submission import Submission
from nixcache.errors import Code, PermanentError, TransientError
from protocol.keys import StagingNarInfoKey
from protocol.verdicts import AwaitingQuorum, Duplicate, Kind, Rejected, ServiceCode, Verdict, Waiting
from tests.ingest.store_objects import Builder, store_path
from tests.ingest.world import ALICE, World

LogLines = Callable[[], list[dict[str, Any]]]

PATH = store_path("hello")
SUBMISSION = Submission(StagingNarInfoKey(ALICE, PATH.hash_part), "1")


def _metrics(line: dict[str, Any]) -> dict[tuple[str, ...], dict[str, float]]:
    """The metrics in a line, by their dimensions; EMF's own rules hold."""
    found: dict[tuple[str, ...], dict[str, float]] = {}
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == NAMESPACE
        [names] = directive["Dimensions"]
        # What is a dimension is a text in the document, and what is a metric a number.
        key = tuple(f"{name}={line[name]}" for name in names)
        for metric in directive["Metrics"]:
            assert isinstance(line[metric["Name"]], int | float)
            assert metric["Unit"] in set(Unit)
            found.setdefault(key, {})[metric["Name"]] = line[metric["Name"]]
    return found


SERVICE = ("stage=prod", "service=ingest")


@pytest.mark.parametrize(
    "verdict",
    [Duplicate(), Waiting((PATH,)), AwaitingQuorum(1, 2), Rejected("not-allowed", "No.", "Ask.", None, None)],
)
def test_submissions_are_counted_by_verdict(verdict: Verdict, log_lines: LogLines) -> None:
    CloudWatch("prod").judged(SUBMISSION, PATH, verdict)
    [line] = log_lines()
    assert _metrics(line) == {(*SERVICE, f"verdict={verdict.kind.value}"): {"Submissions": 1}}
    assert (line["builder"], line["store_path"], line["level"]) == ("alice", PATH.base_name, "INFO")


@pytest.mark.parametrize("code", [*Code, *ServiceCode])
def test_what_only_bytes_can_show_is_counted_beside(code: Code | ServiceCode, log_lines: LogLines) -> None:
    """An alarm hangs on it: a field that is merely malformed is anybody's mistake, and wakes nobody."""
    CloudWatch("prod").judged(SUBMISSION, None, Rejected.because(PermanentError(code, "No.")))
    [line] = log_lines()
    assert _metrics(line).get(SERVICE) == ({"Disproved": 1} if code in DISPROVED else None)
    assert line["code"] == line["reason"]["code"] == code.value
    assert "store_path" not in line


def test_bytes_and_seconds_are_told_so_that_their_sums_are_a_speed(log_lines: LogLines) -> None:
    CloudWatch("prod").verified(SUBMISSION, PATH, nar_size=4_000_000, file_size=1_000_000, seconds=0.25)
    [line] = log_lines()
    assert _metrics(line) == {SERVICE: {"NarBytes": 4_000_000, "FileBytes": 1_000_000, "VerifySeconds": 0.25}}


def test_trouble_is_counted_and_only_a_bug_has_a_traceback(log_lines: LogLines) -> None:
    for error in (TransientError("S3 is down."), ZeroDivisionError("x")):
        CloudWatch("prod").put_back("alice/x.narinfo", error)
    foreseen, bug = log_lines()
    assert _metrics(foreseen) == _metrics(bug) == {SERVICE: {"PutBack": 1}}
    assert {foreseen["level"], bug["level"]} == {"ERROR"}
    assert "traceback" not in foreseen
    assert "ZeroDivisionError: x" in bug["traceback"]


def test_a_published_path_tells_what_was_read_for_it(world: World, builder: Builder, log_lines: LogLines) -> None:
    thing = builder.build("leaf")
    world.submit(thing)
    world.run(world.container(settings=replace(world.settings, stage="prod")))
    verified, verdict = log_lines()
    [numbers] = _metrics(verified).values()
    assert numbers["NarBytes"] == thing.narinfo.nar_size
    assert numbers["FileBytes"] == len(thing.file)
    assert numbers["VerifySeconds"] >= 0
    assert _metrics(verdict) == {(*SERVICE, f"verdict={Kind.PUBLISHED.value}"): {"Submissions": 1}}


def test_what_was_not_read_to_the_end_counts_no_bytes(world: World, builder: Builder, log_lines: LogLines) -> None:
    thing = builder.build("leaf")
    world.submit(replace(thing, file=thing.file[:-1]))
    world.run()
    [verdict] = log_lines()
    assert verdict["Disproved"] == 1


def test_a_line_is_one_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A builder chooses keys and names: none of them may end a line, and begin one of its own."""
    EventLog(service="x", stage="y", now=lambda: 0.0).write(
        "m", {"key": 'a\nb\u2028c\r{"_aws": 1}\udcff'}, metrics=[Metric("N", 2)], level=Level.WARNING
    )
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert text.isascii()
    assert json.loads(text) == {
        "key": 'a\nb\u2028c\r{"_aws": 1}\udcff',
        "level": "WARNING",
        "message": "m",
        "stage": "y",
        "service": "x",
        "timestamp": "1970-01-01T00:00:00Z",
        "_aws": {
            "Timestamp": 0,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Assay",
                    "Dimensions": [["stage", "service"]],
                    "Metrics": [{"Name": "N", "Unit": "Count"}],
                }
            ],
        },
        "N": 2,
    }


def test_what_is_logged_leads_to_its_trace(monkeypatch: pytest.MonkeyPatch, log_lines: LogLines) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793")
    EventLog(service="x", stage="y").write("m", {})
    [line] = log_lines()
    assert line["xray_trace_id"] == "Root=1-5759e988-bd862e3fe1be46a994272793"
