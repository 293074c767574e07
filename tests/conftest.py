"""What all tests need of the process that they run in."""

from __future__ import annotations

import signal

# A test run in the background starts with SIGINT ignored, and whatever it starts inherits that: Ctrl-C could not be
# tested there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
