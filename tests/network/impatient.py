"""The builder's command line as a process of its own that waits for moments where it would wait for minutes.

``python -m tests.network.impatient daemon``: requests that hang are given up after a moment and repeated at once; the
daemon, and what it postpones, rest for a twentieth of their time. Which steps follow which, and how often, stays as it
is.
"""

from __future__ import annotations

import sys

import urllib3
from botocore.retries.standard import ExponentialBackoff

from hook import backoff, daemon
from hook.cli import main

_FASTER = 20


def _a_moment(*_: object) -> urllib3.Timeout:
    return urllib3.Timeout(connect=1.0, read=1.0)


def _at_once(*_: object) -> float:
    return 0.0


if __name__ == "__main__":
    urllib3.connectionpool.HTTPConnectionPool._get_timeout = _a_moment  # type: ignore[method-assign, assignment]
    ExponentialBackoff.delay_amount = _at_once  # type: ignore[method-assign, assignment]
    daemon.TICK_SECONDS /= _FASTER  # type: ignore[misc]
    for cause, patience in backoff.PATIENCE.items():
        backoff.PATIENCE[cause] = backoff.Patience(*(seconds / _FASTER for seconds in patience))
    sys.exit(main(sys.argv[1:]))
