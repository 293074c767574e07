"""``assayctl dead-letters``: what ingest gave up, and once more with it."""

from __future__ import annotations

import argparse

from assayctl.dead_letters import DeadLetter, DeadLetterQueue
from assayctl.deployment import Deployment
from assayctl.errors import invalid
from protocol.outputs import Output

_LIST, _REDRIVE, _DISCARD = "list", "redrive", "discard"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    parser = commands.add_parser(
        "dead-letters",
        help="list, redrive or discard what ingest gave up",
        description="Ingest gives a message up after several tries; its submission has no verdict then. `redrive` gives"
        " it to ingest once more, `discard` deletes it. Both take all, or the messages whose ids are named.",
    )
    parser.add_argument("action", choices=(_LIST, _REDRIVE, _DISCARD), nargs="?", default=_LIST)
    parser.add_argument("ids", metavar="ID", nargs="*", help="of a message, as `list` shows it")
    parser.add_argument("--all", action="store_true", help="every message")
    return parser


def run(arguments: argparse.Namespace, deployment: Deployment) -> int:
    """List or move; raises PermanentError and TransientError."""
    queue = DeadLetterQueue(
        deployment.session.client("sqs"),
        dead_letters_url=deployment.output(Output.DEAD_LETTER_QUEUE_URL),
        queue_url=deployment.output(Output.INGEST_QUEUE_URL),
    )
    if arguments.action == _LIST:
        return _list(queue)
    if bool(arguments.ids) == arguments.all:
        raise invalid("Nothing is named.", "Name messages by their ids, or give --all.")
    wanted = set(arguments.ids)
    moved: set[str] = set()
    for letter in queue.look():
        if not (arguments.all or letter.message_id in wanted):
            queue.leave(letter)
            continue
        if arguments.action == _REDRIVE:
            queue.redrive(letter)
        else:
            queue.discard(letter)
        moved.add(letter.message_id)
        print(f"{'redriven' if arguments.action == _REDRIVE else 'discarded'} {_line(letter)}")
    for missing in sorted(wanted - moved):
        print(f"not there {missing}")
    return 0 if moved and not wanted - moved else 1


def _list(queue: DeadLetterQueue) -> int:
    letters = queue.look()
    for letter in letters:
        queue.leave(letter)
        print(_line(letter))
    return 1 if letters else 0


def _line(letter: DeadLetter) -> str:
    return f"{letter.message_id} {letter.sent_at:%Y-%m-%dT%H:%M:%SZ} {' '.join(letter.about)}"
