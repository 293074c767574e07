"""How full the queues are, and how long the bench waits until they are empty."""

from __future__ import annotations

import time
from typing import Final

from local.service import LocalService

_STALLED_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.25


class Queues:
    """The ingest queue and its dead letters, seen by an operator."""

    def __init__(self, service: LocalService) -> None:
        """Look at ``service``'s."""
        self._service = service
        self._sqs = service.aws.client("sqs", service.deployment.operator)
        self._url = service.deployment.settings.queue_url

    def set_visibility_timeout(self, seconds: int) -> None:
        """Have a message that nobody gave back come again after ``seconds``: AWS's hour and a half is too long here."""
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"VisibilityTimeout": str(seconds)})

    @property
    def depth(self) -> int:
        """Messages in the ingest queue, in flight or not."""
        return self._depth(self._url)

    @property
    def dead_letters(self) -> int:
        """Messages that were given up."""
        return self._depth(self._service.deployment.dead_letter_queue_url)

    def wait_until_empty(self) -> None:
        """Wait for the last message; raises SystemExit when nothing happens any more before that."""
        done, since = -1, time.monotonic()
        empty = 0
        # Twice: between the deletion of a message and what it caused nothing is in between, but a count is approximate.
        while empty < 2:  # noqa: PLR2004 - as said
            time.sleep(_POLL_SECONDS)
            empty = empty + 1 if self.depth == 0 else 0
            if len(self._service.reports) != done:
                done, since = len(self._service.reports), time.monotonic()
            elif time.monotonic() - since > _STALLED_SECONDS:
                raise SystemExit(f"bench: {self.depth} messages are left, and nobody takes them.")

    def _depth(self, url: str) -> int:
        counts = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"])
