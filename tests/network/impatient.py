"""The builder's command line as a process of its own that waits for moments where it would wait for minutes.

``python -m tests.network.impatient SECONDS daemon``: requests that hang are given up after so many and repeated at
once; the daemon, and what it postpones, rest for a twentieth of their time. Which steps follow which, and how often,
stays as it is. Whoever asks it to stop waits for as long as it takes.
"""

from __future__ import annotations

import sys

import urllib3
from botocore.retries.standard import ExponentialBackoff

from hook import backoff, daemon, stopping
from hook.cli import main

_FASTER = 20


def _at_once(*_: object) -> float:
    return 0.0


if __name__ == "__main__":
    a_moment = urllib3.Timeout(float(sys.argv[1]))
    urllib3.connectionpool.HTTPConnectionPool._get_timeout = lambda *_: a_moment.clone()  # type: ignore[method-assign]
    ExponentialBackoff.delay_amount = _at_once  # type: ignore[method-assign, assignment]
    daemon.TICK_SECONDS /= _FASTER  # type: ignore[misc]
    for cause, patience in backoff.PATIENCE.items():
        backoff.PATIENCE[cause] = backoff.Patience(*(seconds / _FASTER for seconds in patience))
    # A daemon that stalls while it ends shall not be taken for one that hangs.
    stopping.stop_on_signals.__wrapped__.__kwdefaults__["grace"] = 100.0  # type: ignore[attr-defined]
    sys.exit(main(sys.argv[2:]))
