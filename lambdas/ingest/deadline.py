"""The time that an invocation has, and what of it a submission may take.

A function that is ended loses what it would have answered: its whole batch comes again, and after enough such
deliveries every message of it is a dead letter without a verdict (I6). So nothing is begun that may not end, and what
takes too long is given up in time (docs/adr/0026).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nixcache.errors import Code, PermanentError, TransientError
from protocol.delivery import FUNCTION_TIMEOUT_SECONDS

TO_BEGIN_SECONDS: Final = FUNCTION_TIMEOUT_SECONDS // 2
"""With less than this left, only an invocation's first submission is begun. All but the largest in xz need far less."""
TO_FINISH_SECONDS: Final = 60
"""What is kept free after the verification: S3 copies up to 10 GiB, and all that is published is written and told."""
LONG_ENOUGH_SECONDS: Final = FUNCTION_TIMEOUT_SECONDS - 2 * TO_FINISH_SECONDS
"""A verification that had this much, before what is kept free, would hardly ever have more: it is too long."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One submission's share of an invocation."""

    remaining_seconds: Callable[[], float]

    def verification(self) -> Callable[[], None]:
        """Return what a verification that begins now has to call again and again; it raises when the time is over.

        :class:`PermanentError` (``too-large``) where it had all the time there is, since it would take as long for
        ever; :class:`TransientError` where others, or AWS, had taken some of it.
        """
        had = self.remaining_seconds() - TO_FINISH_SECONDS

        def pulse() -> None:
            if had >= LONG_ENOUGH_SECONDS and self._is_nearly_over():
                raise PermanentError(
                    Code.TOO_LARGE,
                    f"It takes longer to verify than the {had:.0f} seconds there are.",
                    remedy="Compress the NAR with zstd, which is read many times faster than xz, or split the output.",
                )
            self.going_on()

        return pulse

    def going_on(self) -> None:
        """Raise :class:`TransientError` when the time is nearly over, and the submission is not to blame."""
        if self._is_nearly_over():
            raise TransientError("The invocation's time is nearly over.", remedy="It is tried again.")

    def _is_nearly_over(self) -> bool:
        return self.remaining_seconds() < TO_FINISH_SECONDS


class Deadline:
    """When one invocation ends."""

    def __init__(self, remaining_seconds: Callable[[], float]) -> None:
        """``remaining_seconds`` tells how long it still runs."""
        self._remaining_seconds = remaining_seconds
        self._next_is_first = True

    def begin(self) -> Turn:
        """Return a submission's turn; raises :class:`TransientError` when it would come too late.

        The first one always gets its turn: no other invocation would have more time for it.
        """
        is_first, self._next_is_first = self._next_is_first, False
        if not is_first and self._remaining_seconds() < TO_BEGIN_SECONDS:
            raise TransientError("The submissions before it took most of the time.", remedy="It is tried again.")
        return Turn(self._remaining_seconds)
