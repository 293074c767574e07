"""``assayctl status``: whether anything waits for an operator."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from assayctl.deployment import Deployment
from assayctl.errors import aws
from assayctl.keys import SigningSecret, announced
from protocol.outputs import Output
from protocol.public_keys import AnnouncedKey
from protocol.signing_secret import CURRENT

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Register the command."""
    return commands.add_parser(
        "status",
        help="show queues and keys; exit 1 if there are dead letters or no key",
        description="Shows what waits in the queues, and how the signing key stands. Exit code 1: something is to be"
        " done.",
    )


def run(_: argparse.Namespace, deployment: Deployment) -> int:
    """Show it; raises PermanentError and TransientError."""
    sqs: SQSClient = deployment.session.client("sqs")
    waiting = _messages(sqs, deployment.output(Output.INGEST_QUEUE_URL))
    dead = _messages(sqs, deployment.output(Output.DEAD_LETTER_QUEUE_URL))
    has_key = CURRENT in SigningSecret(deployment).stages()
    print(f"submissions in the queue  {waiting}")
    print(f"dead letters              {dead}{' (assayctl dead-letters)' if dead else ''}")
    print(f"signing key               {'there' if has_key else 'missing: assayctl announce-keys'}")
    for key in announced(deployment).keys:
        print(f"  {key.public_key.name}: {_use(key)}")
    return 1 if dead or not has_key else 0


def _use(key: AnnouncedKey) -> str:
    if key.until is None:
        return f"signs since {key.since:%Y-%m-%d %H:%M}"
    if datetime.now(UTC) < key.until:
        return f"signs beside it until {key.until:%Y-%m-%d %H:%M}"
    return f"signs nothing since {key.until:%Y-%m-%d %H:%M}, still announced"


def _messages(sqs: SQSClient, url: str) -> int:
    with aws(f"{url} cannot be read"):
        attributes = sqs.get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        )["Attributes"]
    return sum(map(int, attributes.values()))
