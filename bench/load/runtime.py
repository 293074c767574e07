"""A function's process as the bench starts it: ``python -m bench.load.runtime DIRECTORY RATE``.

It is :mod:`local.runtime`, but that it writes what it uses into DIRECTORY, and makes a share of RATE of its AWS calls
fail. Ingest itself knows nothing of this: everything hangs on botocore's own events.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.handlers

from bench.load.faults import Faults
from bench.load.usage import UsageLog
from local import runtime

if TYPE_CHECKING:
    from lambdas.context import Context
    from lambdas.ingest.handler import BatchResponse


def arguments(directory: Path, *, fault_rate: float = 0.0) -> tuple[str, ...]:
    """Return the module and the arguments that start it."""
    return ("bench.load.runtime", str(directory), str(fault_rate))


def main() -> None:
    """Answer invocations until standard input ends."""
    directory, rate = Path(sys.argv[1]), float(sys.argv[2])
    log = UsageLog(directory, os.getpid())
    faults = Faults(rate, random.Random(), log)
    # botocore equips each new session from this list: the only place that sees clients made by others.
    hooks: tuple[tuple[str, Callable[..., Any]], ...] = (
        ("before-call", faults.before_call),
        ("before-send", faults.before_send),
        ("after-call", faults.after_call),
    )
    botocore.handlers.BUILTIN_HANDLERS.extend(hooks)
    from lambdas.ingest import handler as ingest  # noqa: PLC0415 - its clients must come after the hooks

    handle = ingest.handler

    def measured(event: dict[str, Any], context: Context) -> BatchResponse:
        before = time.process_time()
        response = handle(event, context)
        log.invoked(len(event["Records"]), time.process_time() - before)
        return response

    ingest.handler = measured
    runtime.main()


if __name__ == "__main__":
    main()
