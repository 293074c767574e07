"""No emulator outlives the tests that started it, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.contract.emulators import free_ports
from tests.local.processes import descendants, still_running

SERVER = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
"""A server that starts another process in its turn."""
TESTS = f"""
import subprocess, sys, time
subprocess.Popen(
    [sys.executable, "-m", "tests.contract.lifeline", sys.executable, "-c", {SERVER!r}],
    stdin=subprocess.PIPE,
    start_new_session=True,
)
time.sleep(600)
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_server_ends_with_its_tests(end: signal.Signals) -> None:
    tests = subprocess.Popen([sys.executable, "-c", TESTS], stderr=subprocess.DEVNULL)
    try:
        started: set[int] = set()
        for _ in range(200):
            started = descendants(tests.pid)
            if len(started) == 3:
                break
            time.sleep(0.05)
        assert len(started) == 3  # the lifeline, the server and what that started
    finally:
        os.kill(tests.pid, end)
        tests.wait()
    assert still_running(started) == set()


def test_the_exit_of_a_server_is_passed_on() -> None:
    command = [sys.executable, "-m", "tests.contract.lifeline", sys.executable, "-c", "raise SystemExit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as lifeline:
        assert lifeline.wait() == 7


def test_ports_that_a_server_adds_a_number_to_are_free_as_well() -> None:
    ports = free_ports(4, also=10_000)
    assert len(set(ports)) == 4
    assert all(port + 10_000 <= 65_535 for port in ports)
