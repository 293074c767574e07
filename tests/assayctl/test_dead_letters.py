"""Dead letters are looked at, redriven and discarded."""

from __future__ import annotations

import json

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
