"""A command, measured from a process of its own: ``python -I -S metered.py COMMAND…`` prints what it took.

The kernel counts into a process's peak memory what its parent held when it was started; so the one that starts it must
be small. Seconds, seconds of CPU and bytes are those of the command and of everything that it waited for; SIGTERM is
handed on to it.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def main() -> None:
    """Run it; exit as it does."""
    started = time.monotonic()
    process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, setsigmask=())
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(process, number))
    # Whoever starts this has it blocked: one that came early would end this alone, and nobody would be measured.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    _, status, usage = os.wait4(process, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    figures = (time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)
    # On a line of its own, the last: whatever the command printed stands before it.
    print("", *figures, sep="\n", flush=True)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
