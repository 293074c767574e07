"""The inside of a Lambda execution environment: ``python -m local.runtime``, started by :mod:`local.function`.

One JSON document a line: ``{"event": …, "deadline": <seconds since the epoch>, "function_name": …}`` in, an answer out.
It ends when its standard input does, so it cannot outlive whoever started it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import botocore.handlers

from local.peak_memory import peak_memory

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What Lambda hands to a handler beside the event; the names are Lambda's."""

    deadline: float
    function_name: str
    invoked_function_arn: str
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 10_240
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    log_group_name: str = "local"
    log_stream_name: str = "local"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end this invocation."""
        return max(0, int((self.deadline - time.time()) * 1000))


class _RequestCounter:
    """Counts the HTTP requests that any AWS client of this process sends, retries included."""

    def __init__(self) -> None:
        self.requests = 0
        # The list from which botocore equips each new session: the only place that sees clients made by others.
        botocore.handlers.BUILTIN_HANDLERS.append(("before-send", self._count))

    def _count(self, **_: object) -> None:
        self.requests += 1


def _answer(handler: Callable[[Any, Any], Any], invocation: dict[str, Any], counter: _RequestCounter) -> dict[str, Any]:
    """Call the handler once; an exception becomes an error document, as in Lambda."""
    context = Context(
        deadline=invocation["deadline"],
        function_name=invocation["function_name"],
        invoked_function_arn=invocation["function_arn"],
    )
    started, requests = time.monotonic(), counter.requests
    try:
        outcome = {"response": handler(invocation["event"], context)}
    except Exception as error:  # noqa: BLE001 - Lambda's runtime, too, catches all that a handler lets out
        outcome = {"error": f"{type(error).__name__}: {error}"}
        traceback.print_exc()
    return {
        **outcome,
        "seconds": time.monotonic() - started,
        "peak_memory": peak_memory(),
        "aws_requests": counter.requests - requests,
    }


def main() -> None:
    """Answer invocations until standard input ends."""
    # Whatever the handler and its libraries print may never be mistaken for an answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    counter = _RequestCounter()
    from lambdas.ingest.handler import handler  # noqa: PLC0415 - its clients must come after the counter

    for line in sys.stdin:
        answers.write(json.dumps(_answer(handler, json.loads(line), counter)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
