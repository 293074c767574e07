"""Dead letters are looked at, redriven and discarded."""

from __future__ import annotations

import json

import pytest

from protocol import wake
from protocol.keys import StagingNarInfoKey
from protocol.outputs import Output
from tests.assayctl.conftest import Run, Stage

WAKE = wake.render(StagingNarInfoKey.parse(f"ci-1/{'a' * 32}.narinfo"))
EVENT = json.dumps({"Records": [{"s3": {"object": {"key": "ci-1%2Fb.narinfo"}}}]})


def _send(stage: Stage, *bodies: str) -> list[str]:
    sqs = stage.session.client("sqs")
    url = stage[Output.DEAD_LETTER_QUEUE_URL]
    return [sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"] for body in bodies]


def _bodies(stage: Stage, output: Output) -> list[str]:
    messages = stage.session.client("sqs").receive_message(
        QueueUrl=stage[output], MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    return sorted(message["Body"] for message in messages.get("Messages", []))


def test_no_dead_letters_is_nothing_to_look_at(run: Run) -> None:
    assert (run("dead-letters").code, run("dead-letters").out) == (0, "")


def test_a_list_says_what_each_is_about_and_takes_nothing(stage: Stage, run: Run) -> None:
    """I6: to look at a message loses none, whatever is in it."""
    bodies = [WAKE, EVENT, "not\nJSON", "[" * 5000, "null"]
    _send(stage, *bodies)
    ended = run("dead-letters")
    assert ended.code == 1
    assert f"ci-1/{'a' * 32}.narinfo" in ended.out
    assert "ci-1/b.narinfo" in ended.out
    assert "'not\\nJSON'" in ended.out
    assert len(ended.out.splitlines()) == len(bodies)
    assert _bodies(stage, Output.DEAD_LETTER_QUEUE_URL) == sorted(bodies)


def test_no_key_can_look_like_another_message(stage: Stage, run: Run) -> None:
    """A builder chooses its keys: no line of its own making, and nothing that a terminal obeys."""
    _send(stage, json.dumps({"Records": [{"s3": {"object": {"key": "ci-2/x%0Aforged%1B[2K.narinfo"}}}]}))
    assert run("dead-letters").out.endswith(" ci-2/x\\nforged\\x1b[2K.narinfo\n")


def test_redrive_gives_all_to_ingest_once_more(stage: Stage, run: Run) -> None:
    _send(stage, *(f"message {number}" for number in range(12)))
    assert run("dead-letters", "redrive", "--all").code == 0
    assert _bodies(stage, Output.DEAD_LETTER_QUEUE_URL) == []
    waiting = stage.session.client("sqs").get_queue_attributes(
        QueueUrl=stage[Output.INGEST_QUEUE_URL], AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert waiting["Attributes"]["ApproximateNumberOfMessages"] == "12"


def test_one_message_is_redriven_or_discarded_by_its_id(stage: Stage, run: Run) -> None:
    one, two, _ = _send(stage, "one", "two", "three")
    assert run("dead-letters", "redrive", one).code == 0
    assert run("dead-letters", "discard", two).code == 0
    assert _bodies(stage, Output.INGEST_QUEUE_URL) == ["one"]
    assert _bodies(stage, Output.DEAD_LETTER_QUEUE_URL) == ["three"]


def test_an_id_that_is_not_there_is_said(stage: Stage, run: Run) -> None:
    _send(stage, "one")
    ended = run("dead-letters", "redrive", "no-such-id")
    assert (ended.code, ended.out) == (1, "not there no-such-id\n")
    assert _bodies(stage, Output.DEAD_LETTER_QUEUE_URL) == ["one"]


def test_nothing_is_moved_without_a_name(stage: Stage, run: Run) -> None:
    _send(stage, "one")
    assert run("dead-letters", "redrive").code == 2
    assert run("dead-letters", "discard").code == 2
    assert _bodies(stage, Output.DEAD_LETTER_QUEUE_URL) == ["one"]


@pytest.fixture
def few(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the messages of a stage that has more than one run looks at."""
    for module in ("assayctl.dead_letters", "assayctl.commands.dead_letters"):
        monkeypatch.setattr(f"{module}.AT_MOST", 10)
    bodies = [f"message {number}" for number in range(15)]
    _send(stage, *bodies)
    return bodies


def _visible(stage: Stage, output: Output) -> int:
    attributes = stage.session.client("sqs").get_queue_attributes(
        QueueUrl=stage[output], AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(attributes["Attributes"]["ApproximateNumberOfMessages"])


def test_a_run_looks_at_so_many_and_says_that_there_are_more(stage: Stage, run: Run, few: list[str]) -> None:
    """What was looked at is hidden from nobody afterwards, a redrive least of all."""
    ended = run("dead-letters")
    assert (ended.code, len(ended.out.splitlines())) == (1, 10 + 1)
    assert ended.out.splitlines()[-1].startswith("and some 5 more")
    assert _visible(stage, Output.DEAD_LETTER_QUEUE_URL) == len(few)


def test_a_redrive_of_more_than_a_run_takes_is_run_again(stage: Stage, run: Run, few: list[str]) -> None:
    ended = run("dead-letters", "redrive", "--all")
    assert (ended.code, "some 5 more" in ended.out) == (1, True)
    assert _visible(stage, Output.INGEST_QUEUE_URL) == 10
    ended = run("dead-letters", "redrive", "--all")
    assert (ended.code, "more" in ended.out) == (0, False)
    assert _visible(stage, Output.INGEST_QUEUE_URL) == len(few)


def test_an_id_that_was_not_seen_is_not_said_to_be_absent(run: Run, few: list[str]) -> None:
    ended = run("dead-letters", "discard", few[0])
    assert (ended.code, ended.out.splitlines()[0]) == (1, f"not among the first 10 {few[0]}")


def test_whoever_breaks_off_hides_nothing(stage: Stage, run: Run, few: list[str]) -> None:
    """I6: what was sent before the error is gone from here, and the rest is there at once."""
    stage.session.client("sqs").delete_queue(QueueUrl=stage[Output.INGEST_QUEUE_URL])
    assert run("dead-letters", "redrive", "--all").code == 4
    assert _visible(stage, Output.DEAD_LETTER_QUEUE_URL) == len(few)
