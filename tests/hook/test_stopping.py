"""I6, I9: who is asked to stop ends, even where something hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hook.exit_code import ExitCode

_HANGS = """
import threading, sys
from hook.stopping import stop_on_signals
with stop_on_signals(grace=float(sys.argv[1])) as stop:
    print("ready", flush=True)
    stop.wait()
    print("asked", flush=True)
    if sys.argv[2:] != ["end"]:
        threading.Event().wait()
left = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
for thread in left:
    thread.join(60)
sys.exit(any(thread.is_alive() for thread in left))
"""
_FOR_EVER = "100000"


def _start(grace: str, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HANGS, grace, *more],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_hangs_is_left_after_a_while(how: signal.Signals) -> None:
    with _start("0.1") as process:
        process.send_signal(how)
        assert process.wait() == ExitCode.INTERRUPTED


def test_a_second_signal_ends_at_once() -> None:
    with _start(_FOR_EVER) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout
        assert process.stdout.readline() == "asked\n", "the first one only asks"
        process.send_signal(signal.SIGINT)
        assert process.wait() == ExitCode.INTERRUPTED


def test_what_ends_by_itself_is_left_alone() -> None:
    """What would have ended it is gone as soon as the block is over."""
    with _start(_FOR_EVER, "end") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
