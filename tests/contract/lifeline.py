"""A program that ends with whoever needs it: ``python -m tests.contract.lifeline PROGRAM ARGUMENT…``.

It lives as long as our standard input stays open. An emulator does not watch its own, so this process does it in its
place: however a test run ends, Ctrl-C and SIGKILL included, no server stays behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main() -> None:
    """Run the program until it ends or standard input does; leave with its exit code."""
    # In a session of its own, so that what it has started in its turn can be ended with it.
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)

    def end_with_us() -> None:
        sys.stdin.buffer.read()
        # SIGKILL: its state is a temporary directory, and an orderly end may take longer than anybody waits.
        os.killpg(program.pid, signal.SIGKILL)

    threading.Thread(target=end_with_us, daemon=True).start()
    code = program.wait()
    os._exit(code if code >= 0 else 128 - code)  # the thread is in a read that nothing ends


if __name__ == "__main__":
    main()
