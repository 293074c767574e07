"""Following paths that another process uploads, until it is known what becomes of each."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from hook import wording
from hook.exit_code import ExitCode
from hook.queue.entry import Refused, Submitted
from hook.queue.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from hook.queue.entry import Progress
    from hook.queue.view import Known, QueueView
    from nixcache.store_path import StorePath

POLL_SECONDS: Final = 0.5
OWNER_SECONDS: Final = 2.0
"""How often it is looked whether somebody still works on the queue."""
LISTED: Final = 10_000
"""Entries that are asked for at once."""
_WALKED: Final = 10_000
"""Paths that are looked at to find out what waits, through others, for a rejected one."""


_NOT_ASKED: Final = (
    "it is neither queued, nor was it lately; whether it is in the cache, no configuration says where to ask"
)


class Ending(Enum):
    """What became of a path, as far as an exit code tells."""

    PUBLISHED = "published"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """Neither queued, nor remembered to have been, nor in the cache."""
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of ``path``: ``outcome`` is one word for machines, ``why`` a line for people, or nothing."""

    path: StorePath
    ending: Ending
    outcome: str
    why: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.outcome.replace('-', ' ')} {self.path.base_name}{f': {self.why}' if self.why else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How following ended. ``is_abandoned``: nobody works on the queue any more, and some of it is open."""

    fates: Mapping[StorePath, Fate]
    is_timed_out: bool = False
    is_interrupted: bool = False
    is_abandoned: bool = False

    @property
    def code(self) -> ExitCode:
        """What a command exits with: one refusal outweighs what is still open, for no waiting mends it."""
        if self.is_interrupted:
            return ExitCode.INTERRUPTED
        if any(fate.ending in {Ending.REFUSED, Ending.UNKNOWN} for fate in self.fates.values()):
            return ExitCode.REFUSED
        return ExitCode.TIMED_OUT if self.is_timed_out else ExitCode.DONE


class Named:
    """Paths that somebody has named."""

    def __init__(self, paths: Collection[StorePath]) -> None:
        self._paths = set(paths)

    def more(self) -> set[StorePath]:
        """Return those that were not returned before."""
        more, self._paths = self._paths, set()
        return more

    def is_exhausted(self) -> bool:
        """Whether there will be no more."""
        return not self._paths


class Everything:
    """What is queued or spooled now, and, if so wished, what was ``rejected`` and is still there."""

    def __init__(self, view: QueueView, *, rejected: bool, now: Callable[[], float] = time.time) -> None:
        """``now`` is the time in seconds since the epoch; raises OSError."""
        self._view = view
        self._rejected = rejected
        self._until = now()
        self._has_looked = False
        self._seen: set[StorePath] = set()
        self._is_exhausted = False
        self._spool = Spool(view.state_dir, view.store_dir)
        self._spooled = self._names()

    def more(self) -> set[StorePath]:
        """Return those that were not returned before, as many as can be told now."""
        # The spool first: what is taken in after that is among the entries.
        names = self._names()
        overview = self._view.overview(limit=LISTED)
        if not self._has_looked:
            # What seems to come from the future is there all the same: the clock was set back.
            self._until = max([self._until, *(entry.queued_at for entry in overview.entries)])
            self._has_looked = True
        found = [entry for entry in overview.entries if entry.queued_at <= self._until]
        wanted = {entry.path for entry in found if self._rejected or not isinstance(entry.progress, Refused)}
        more = wanted - self._seen
        self._seen |= more
        # Some hook runs name no path until Nix is asked, so the paths alone do not tell.
        is_taken_in = not overview.spooled if names is None else names.isdisjoint(self._spooled or ())
        is_all_rejected = overview.counts[Refused.state] == sum(overview.counts.values())
        self._is_exhausted = not more and is_taken_in and (len(found) < LISTED or is_all_rejected)
        return more

    def is_exhausted(self) -> bool:
        """Whether there will be no more."""
        return self._is_exhausted

    def _names(self) -> set[str] | None:
        try:
            return set(self._spool.names())
        except PermissionError:
            # An ordinary user, who has only what the owner tells.
            return None


def follow(
    view: QueueView,
    paths: Named | Everything,
    *,
    timeout: float,
    tell: Callable[[Fate], None],
    pause: Callable[[float], bool],
    while_owned: bool = False,
    is_published: Callable[[Collection[StorePath]], set[StorePath]] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Followed:
    """Look again and again until each of ``paths`` has its ending, or ``timeout`` seconds have passed.

    ``tell`` hears of each ending. ``pause`` waits for so many seconds, and says whether to stop. ``while_owned`` gives
    up where no process owns the queue. ``is_published`` asks the cache. Raises TransientError and OSError.
    """
    deadline = clock() + timeout
    owner_at = clock() + OWNER_SECONDS
    fates: dict[StorePath, Fate] = {}
    open_: set[StorePath] = set()
    while True:
        looked = _look_until_open(view, paths, open_, tell, is_published)
        fates |= looked
        open_ = {path for path, fate in looked.items() if fate.ending is Ending.OPEN}
        if not open_ and paths.is_exhausted():
            return Followed(fates=fates)
        now = clock()
        if now >= deadline:
            return Followed(fates=fates, is_timed_out=True)
        if while_owned and now >= owner_at:
            if view.overview(limit=0).owner is None:
                return Followed(fates=fates, is_abandoned=True)
            owner_at = now + OWNER_SECONDS
        if pause(min(POLL_SECONDS, deadline - now)):
            return Followed(fates=fates, is_interrupted=True)


def _look_until_open(
    view: QueueView,
    paths: Named | Everything,
    open_: set[StorePath],
    tell: Callable[[Fate], None],
    is_published: Callable[[Collection[StorePath]], set[StorePath]] | None,
) -> dict[StorePath, Fate]:
    """Look at what is ``open_``, and, once all of that has its ending, at more: what is asked at once is bounded."""
    fates: dict[StorePath, Fate] = {}
    while True:
        looked = _look(view, open_, is_published)
        fates |= looked
        ended = [fate for fate in looked.values() if fate.ending is not Ending.OPEN]
        for fate in ended:
            tell(fate)
        if len(ended) < len(looked):
            return fates
        open_ = paths.more()
        if not open_:
            return fates


def _look(
    view: QueueView,
    paths: set[StorePath],
    is_published: Callable[[Collection[StorePath]], set[StorePath]] | None,
) -> dict[StorePath, Fate]:
    known = view.known(paths) if paths else {}
    unknown = {path for path, one in known.items() if one.entry is None and one.concluded is None}
    found = is_published(unknown) if unknown and is_published else set()
    why = "it is neither queued, nor was it lately, nor is it in the cache" if is_published else _NOT_ASKED
    fates = {path: Fate(path, Ending.UNKNOWN, "unknown", why) for path in unknown - found}
    fates |= {path: Fate(path, Ending.PUBLISHED, "published", "") for path in found}
    refused, blocked = _refused_and_blocked(view, known)
    now = time.time()
    for path, one in known.items():
        if one.entry:
            why = wording.of_progress(one.entry.progress, refused | blocked, now)
            if path in refused:
                fates[path] = Fate(path, Ending.REFUSED, "rejected", why)
            elif path in blocked:
                fates[path] = Fate(path, Ending.REFUSED, "blocked", why)
            else:
                fates[path] = Fate(path, Ending.OPEN, "open", why)
        elif one.concluded:
            fates[path] = Fate(path, Ending.PUBLISHED, one.concluded.outcome, one.concluded.remark)
    return fates


def _refused_and_blocked(view: QueueView, known: Mapping[StorePath, Known]) -> tuple[set[StorePath], set[StorePath]]:
    """Return the refused among ``known`` and what they wait for, and what waits, through others, for one of those."""
    progress = {path: one.entry.progress for path, one in known.items() if one.entry}
    asked = set(known)
    while len(asked) < _WALKED and (further := _waited_for(progress.values()) - asked):
        asked |= further
        progress |= {path: one.entry.progress for path, one in view.known(further).items() if one.entry}
    refused = {path for path, one in progress.items() if isinstance(one, Refused)}
    blocked: set[StorePath] = set()
    while True:
        fresh = {
            path
            for path, one in progress.items()
            if path not in blocked and isinstance(one, Submitted) and not (refused | blocked).isdisjoint(one.waits_for)
        }
        if not fresh:
            return refused, blocked
        blocked |= fresh


def _waited_for(progress: Iterable[Progress]) -> set[StorePath]:
    return {path for one in progress if isinstance(one, Submitted) for path in one.waits_for}
