"""``assayctl dead-letters``: what ingest gave up, and once more with it."""

from __future__ import annotations

import argparse

from assayctl.dead_letters import AT_MOST, DeadLetter, DeadLetterQueue
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
        " it to ingest once more, `discard` deletes it. Both take all, or the messages whose ids are named. A run takes"
        f" {AT_MOST} messages at the most, and says when there are more: run it again.",
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
    if arguments.action != _LIST and bool(arguments.ids) == arguments.all:
        raise invalid("Nothing is named.", "Name messages by their ids, or give --all.")
    wanted = set(arguments.ids)
    moved: set[str] = set()
    held: dict[str, DeadLetter] = {}
    received = 0
    try:
        for page in queue.look():
            received += len(page)
            new = [letter for letter in page if letter.message_id not in held]
            held |= {letter.message_id: letter for letter in page}
            for letter in new:
                if arguments.action == _LIST:
                    print(_line(letter))
                elif arguments.all or letter.message_id in wanted:
                    _move(queue, arguments.action, letter)
                    del held[letter.message_id]
                    moved.add(letter.message_id)
            if wanted and wanted == moved:
                break
        # As long as these are held: they are not among the others.
        others = queue.others() if received >= AT_MOST else 0
    finally:
        queue.leave(list(held.values()))
    for missing in sorted(wanted - moved):
        print(f"not there {missing}" if not others else f"not among the first {AT_MOST} {missing}")
    if others:
        print(f"and some {others} more: this was as much as one run looks at.")
    if arguments.action == _LIST:
        return 1 if held else 0
    return 0 if moved and not (wanted - moved or others) else 1


def _move(queue: DeadLetterQueue, action: str, letter: DeadLetter) -> None:
    if action == _REDRIVE:
        queue.redrive(letter)
    else:
        queue.discard(letter)
    print(f"{'redriven' if action == _REDRIVE else 'discarded'} {_line(letter)}")


def _line(letter: DeadLetter) -> str:
    return f"{letter.message_id} {letter.sent_at:%Y-%m-%dT%H:%M:%SZ} {' '.join(letter.about)}"
