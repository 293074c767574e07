"""Who a process has started, and whether any of them is left."""

from __future__ import annotations

import os
import subprocess
import time
from collections import defaultdict


def descendants(pid: int) -> set[int]:
    """Return the ids of all processes below ``pid``."""
    children: dict[int, list[int]] = defaultdict(list)
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    for line in listing.stdout.splitlines():
        child, parent = map(int, line.split())
        children[parent].append(child)
    found: set[int] = set()
    pending = [pid]
    while pending:
        started = children[pending.pop()]
        found.update(started)
        pending += started
    return found


def still_running(pids: set[int], *, within: float = 60.0) -> set[int]:
    """Return those of ``pids`` that have not ended after ``within`` seconds."""
    deadline = time.monotonic() + within
    while (left := {pid for pid in pids if _runs(pid)}) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not state.startswith("Z") and bool(state)  # one that nobody has collected yet has ended all the same
