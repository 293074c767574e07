"""Being asked to stop: gently at first, and, whatever hangs, not for ever."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from threading import Event, Timer
from typing import TYPE_CHECKING, Final

from hook.exit_code import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

GRACE_SECONDS: Final = 10.0
"""For what is under way to end by itself. A request to a network that hangs would take minutes, and systemd kills."""


@contextmanager
def stop_on_signals(*, grace: float = GRACE_SECONDS) -> Iterator[Event]:
    """Give an event that SIGTERM or Ctrl-C sets.

    The process ends ``grace`` seconds later, or at the second signal, wherever it is then, unless the block has ended:
    as after a kill or a power loss, which the queue is made for.
    """
    stop = Event()
    timer = Timer(grace, os._exit, [ExitCode.INTERRUPTED])
    timer.daemon = True

    asked: list[int] = []

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        # Not by the event itself: the signal may have come while this very thread held its lock, and then `set` waits
        # for ever. The timer and a second signal end that.
        if asked:
            os._exit(ExitCode.INTERRUPTED)
        asked.append(number)
        timer.start()
        stop.set()

    before = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
