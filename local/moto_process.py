"""moto's server as a process of its own: ``python -m local.moto_process PORT`` (0: any free port).

It says its port on standard output and lives as long as its standard input stays open. That lifeline ends it however
its parent ends, SIGKILL included, on every platform (Linux's ``PR_SET_PDEATHSIG`` fires already when the *thread* that
started it ends, and macOS has none).
"""

from __future__ import annotations

import logging
import os
import sys

from moto.server import ThreadedMotoServer

from local.moto_repairs import repair

LOOPBACK = "127.0.0.1"


def main() -> None:
    """Serve until standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # one line a request would drown everything else
    repair()
    server = ThreadedMotoServer(LOOPBACK, int(sys.argv[-1]), verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # no orderly farewell: its state is memory, and a request in flight may not hold it back


if __name__ == "__main__":
    main()
