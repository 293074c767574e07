"""The ingest function as Lambda runs it: in an execution environment that takes one event at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from local.aws import ACCOUNT, PROJECT_ROOT, REGION
from nixcache.errors import TransientError

FUNCTION_NAME = "assay-ingest"
RUNTIME = ("local.runtime",)
"""The module that runs the handler, and its arguments."""
FUNCTION_ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{FUNCTION_NAME}"
_STOP_SECONDS = 5


class FunctionError(TransientError):
    """The function raised, died or took too long: its whole batch goes back to the queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one invocation answered and what it took, as in the REPORT line of Lambda's log."""

    response: object
    seconds: float
    peak_memory: int
    """Most bytes that its process has held so far."""
    aws_requests: int


class ExecutionEnvironment:
    """One process that runs the handler, started at the first event and again after a crash or a timeout."""

    def __init__(
        self,
        environment: dict[str, str],
        *,
        timeout: float,
        runtime: Sequence[str] = RUNTIME,
        log: IO[str] | None = None,
    ) -> None:
        """``environment`` is what the handler gets beside PATH; ``timeout`` is in seconds; ``log`` takes its logs."""
        self._environment = environment
        self._runtime = runtime
        self._timeout = timeout
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def invoke(self, event: dict[str, Any]) -> Report:
        """Hand ``event`` to the handler and wait for its answer; raises :class:`FunctionError`."""
        process = self._running()
        invocation = {
            "event": event,
            "deadline": time.time() + self._timeout,
            "function_name": FUNCTION_NAME,
            "function_arn": FUNCTION_ARN,
        }
        timer = threading.Timer(self._timeout, process.kill)
        timer.start()
        try:
            line = _converse(process, json.dumps(invocation))
        finally:
            timer.cancel()
        if not line:
            self.close()
            raise FunctionError(f"The function ended without an answer (exit {process.returncode}).")
        answer = json.loads(line)
        if "error" in answer:
            raise FunctionError(f"The function raised {answer['error']}.")
        return Report(**answer)

    def close(self) -> None:
        """End the process: it leaves by itself when its standard input ends, unless the handler is stuck."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._runtime],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                cwd=PROJECT_ROOT,
                env={"PATH": os.environ.get("PATH", os.defpath), **self._environment},
                start_new_session=True,  # a terminal's Ctrl-C is for us: we let the handler finish
            )
        return self._process


def _converse(process: subprocess.Popen[str], line: str) -> str:
    """Write one line and read one; empty when the process is gone."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return ""
