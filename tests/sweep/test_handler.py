"""What EventBridge calls: settings from the environment, clients of its own, a log line and a metric."""

from __future__ import annotations

import json

import pytest

from lambdas.sweep.handler import handler
from local.aws import UNCHECKED
from nixcache.errors import PermanentError
from protocol import wake
from protocol.keys import StagingNarInfoKey
from protocol.settings import SettingsCode, SweepSettings
from tests.ingest.store_objects import Builder
from tests.ingest.world import ALICE, Context, World

# What EventBridge sends by a schedule; the handler reads nothing of it.
EVENT = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


@pytest.fixture
def settings(world: World, monkeypatch: pytest.MonkeyPatch) -> SweepSettings:
    """Its environment, in which whoever waits has waited long enough."""
    settings = SweepSettings(
        ledger_bucket=world.settings.ledger_bucket, queue_url=world.settings.queue_url, max_waiting_seconds=0
    )
    for name, value in {**world.aws.environment(UNCHECKED), **settings.to_environment()}.items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.mark.usefixtures("settings")
def test_it_wakes_who_is_overdue_and_says_how_many(
    world: World, builder: Builder, capsys: pytest.CaptureFixture[str]
) -> None:
    top = builder.build("top", [builder.build("leaf")])
    world.submit(top)
    world.run()
    capsys.readouterr()
    handler(EVENT, Context(function_name="sweep"))
    [body] = world.take_messages()
    assert wake.parse(json.loads(body)) == StagingNarInfoKey(ALICE, top.path.hash_part)
    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["stage"], line["service"], line["message"], line["Overdue"]) == ("local", "sweep", "swept", 1)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    assert directive == {
        "Namespace": "Assay",
        "Dimensions": [["stage", "service"]],
        "Metrics": [{"Name": "Overdue", "Unit": "Count"}],
    }


@pytest.mark.usefixtures("settings")
def test_with_nobody_overdue_it_says_so(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A metric that is only there on bad days cannot be told from a sweeper that does not run."""
    handler(EVENT, Context(function_name="sweep"))
    assert world.take_messages() == []
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["Overdue"] == 0


def test_a_wrong_environment_names_its_variable(settings: SweepSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in settings.to_environment():
        with monkeypatch.context() as patch:
            patch.delenv(variable)
            with pytest.raises(PermanentError) as caught:
                handler(EVENT, Context(function_name="sweep"))
        assert (caught.value.code, caught.value.field) == (SettingsCode.SETTINGS_MALFORMED, variable)
