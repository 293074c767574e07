"""*Gate*: whether everything that a store object references is published here or in a trusted upstream (I4)."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from lambdas.ingest.lookup import Lookup, at_once
from nixcache.errors import Code, PermanentError
from nixcache.store_path import StorePath

NAMED_AT_MOST: Final = 64
"""References that are looked at before it is asked whether one is missing, and so the most that a verdict names."""
REMEMBERED_PATHS: Final = 65_536
"""Present paths that are remembered; memory is bounded."""
REMEMBERED_SECONDS: Final = 300.0
"""For how long: whoever deletes from the cache can rely on nobody taking a path as present for longer."""


class Gate:
    """Looks references up. Presence is remembered, as thousands share one libc; absence never: it may end any time."""

    def __init__(self, lookup: Lookup, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Ask ``lookup``; ``monotonic`` tells seconds."""
        self._lookup = lookup
        self._monotonic = monotonic
        self._present_until: OrderedDict[StorePath, float] = OrderedDict()

    def missing(self, references: Sequence[StorePath], *, pulse: Callable[[], None]) -> tuple[StorePath, ...]:
        """Return those of ``references`` that are nowhere; where they are many, the first :data:`NAMED_AT_MOST`'s.

        ``pulse`` is called before each look-up of many; it may raise, for whoever has only so much time: what was found
        by then stays remembered. Raises :class:`PermanentError` (``narinfo-malformed``) for a reference whose hash part
        is published under another name.
        """
        unknown = [path for path in references if not self._is_remembered(path)]
        for start in range(0, len(unknown), NAMED_AT_MOST):
            pulse()
            if absent := self._absent(unknown[start : start + NAMED_AT_MOST]):
                return absent
        return ()

    def _absent(self, paths: Sequence[StorePath]) -> tuple[StorePath, ...]:
        answers = at_once(self._is_present, paths)
        for path, present in zip(paths, answers, strict=True):
            if present:
                self._remember(path)
        return tuple(path for path, present in zip(paths, answers, strict=True) if not present)

    def _is_present(self, path: StorePath) -> bool:
        answer = self._lookup.find(path)
        if answer.taken_by is not None:
            # It can never be published here, and who waited for it would be woken by each submission of the other.
            raise PermanentError(
                Code.NARINFO_MALFORMED,
                f"{path.base_name} cannot be had: its hash part is that of {answer.taken_by.base_name}.",
                remedy="Reference the path under its own name.",
                field="References",
            )
        return answer.references is not None

    def _is_remembered(self, path: StorePath) -> bool:
        return self._present_until.get(path, 0.0) > self._monotonic()

    def _remember(self, path: StorePath) -> None:
        self._present_until[path] = self._monotonic() + REMEMBERED_SECONDS
        self._present_until.move_to_end(path)
        while len(self._present_until) > REMEMBERED_PATHS:
            self._present_until.popitem(last=False)
