"""Following paths that another process uploads, until it is known what becomes of each."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from hook import wording
from hook.errors import Cause, Trouble
from hook.exit_code import ExitCode
from hook.queue.entry import Refused, Submitted
from hook.queue.spool import Spool
from nixcache.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from hook.queue.entry import Progress
    from hook.queue.view import Known, QueueView
    from nixcache.store_path import StorePath

POLL_SECONDS: Final = 0.5
OWNER_SECONDS: Final = 2.0
"""How often it is looked whether somebody still works on the queue."""
TROUBLE_SECONDS: Final = 5.0
"""How long a cache, or an owner of the queue, that did not answer is left alone."""
LISTED: Final = 10_000
"""Entries that are asked for at once."""
_WALKED: Final = 10_000
"""Paths that are looked at to find out what waits, through others, for a rejected one."""
_NOT_ASKED: Final = (
    "it is neither queued, nor was it lately; whether it is in the cache, no configuration says where to ask"
)
_NOWHERE: Final = "it is neither queued, nor was it lately, nor is it in the cache"


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
    """How following ended. ``is_abandoned``: nobody works on the queue any more, and some of it is open.

    ``trouble`` is what stood in the way at last, be it of the queue or of the cache.
    """

    fates: Mapping[StorePath, Fate]
    trouble: TransientError | OSError | None = None
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
        if self.trouble:
            return ExitCode.TROUBLE
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
        self._before: set[StorePath] = set()
        self._is_exhausted = False
        self._spool = Spool(view.state_dir, view.store_dir)
        self._spooled = self._names()

    def more(self) -> set[StorePath]:
        """Return those that were not returned before, as many as can be told now."""
        # The spool first: what is taken in after that is among the entries.
        names = self._names()
        # Apart from the rejected, which stay for good: any number of them may be older than what is open.
        overview = self._view.overview(limit=LISTED, rejected=False)
        rejected = {path for page in self._view.refused() for path in page}
        if self._has_looked:
            # What was rejected meanwhile was open before, maybe out of sight.
            fresh = self._queued_in_time(rejected - self._seen - self._before)
        else:
            # What seems to come from the future is there all the same: the clock was set back.
            self._until = max([self._until, *(entry.queued_at for entry in overview.entries)])
            self._has_looked = True
            fresh, self._before = (rejected, set()) if self._rejected else (set(), rejected)
        found = {entry.path for entry in overview.entries if entry.queued_at <= self._until}
        more = (found | fresh) - self._seen
        self._seen |= more
        # Some hook runs name no path until Nix is asked, so the paths alone do not tell.
        is_taken_in = not overview.spooled if names is None else names.isdisjoint(self._spooled or ())
        self._is_exhausted = not more and is_taken_in and len(found) < LISTED
        return more

    def _queued_in_time(self, paths: set[StorePath]) -> set[StorePath]:
        known = self._view.known(paths) if paths else {}
        return {path for path, one in known.items() if one.entry and one.entry.queued_at <= self._until}

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
    tell_trouble: Callable[[TransientError], None] = lambda _: None,
    while_owned: bool = False,
    is_published: Callable[[Collection[StorePath]], set[StorePath]] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Followed:
    """Look again and again until each of ``paths`` has its ending, or ``timeout`` seconds have passed.

    ``tell`` hears of each ending, ``tell_trouble`` of what stands in the way, once until it is over. ``pause`` waits
    for so many seconds, and says whether to stop. ``while_owned`` gives up where no process owns the queue.
    ``is_published`` asks the cache. Raises OSError.
    """
    deadline = clock() + timeout
    owner_at = clock() + OWNER_SECONDS
    following = _Following(view, paths, tell, is_published)
    was_trouble = False
    while True:
        trouble = following.look()
        if trouble and not was_trouble:
            tell_trouble(trouble)
        was_trouble = trouble is not None
        if following.is_done:
            return Followed(fates=following.fates)
        now = clock()
        # Nobody but people can mend a configuration; the rest may pass.
        if trouble and (now >= deadline or (isinstance(trouble, Trouble) and trouble.cause is Cause.SERVICE)):
            return Followed(fates=following.fates, trouble=trouble, is_timed_out=now >= deadline)
        if now >= deadline:
            return Followed(fates=following.fates, is_timed_out=True)
        if while_owned and not trouble and now >= owner_at:
            with suppress(TransientError):
                if view.overview(limit=0).owner is None:
                    return Followed(fates=following.fates, is_abandoned=True)
            owner_at = now + OWNER_SECONDS
        if pause(min(TROUBLE_SECONDS if trouble else POLL_SECONDS, deadline - now)):
            return Followed(fates=following.fates, is_interrupted=True)


class _Following:
    """What is known so far of ``paths``: ``fates`` of all that were seen."""

    def __init__(
        self,
        view: QueueView,
        paths: Named | Everything,
        tell: Callable[[Fate], None],
        is_published: Callable[[Collection[StorePath]], set[StorePath]] | None,
    ) -> None:
        self._view = view
        self._paths = paths
        self._tell = tell
        self._is_published = is_published
        self._open: set[StorePath] = set()
        self._trouble: TransientError | None = None
        self.fates: dict[StorePath, Fate] = {}

    @property
    def is_done(self) -> bool:
        """Whether each has its ending, and no more will come."""
        return not self._trouble and not self._open and self._paths.is_exhausted()

    def look(self) -> TransientError | None:
        """Look at what is open, and, once all of that has its ending, at more: what is asked at once is bounded.

        Returns the trouble, if there was any: what it kept from being seen is open.
        """
        self._trouble = None
        try:
            while True:
                looked = self._look()
                self.fates |= looked
                ended = {path: fate for path, fate in looked.items() if fate.ending is not Ending.OPEN}
                self._open -= ended.keys()
                for fate in ended.values():
                    self._tell(fate)
                if self._open:
                    break
                self._open = self._paths.more()
                if not self._open:
                    break
        except TransientError as error:
            self._trouble = error
            for path in self._open:
                self.fates[path] = Fate(path, Ending.OPEN, "open", str(error))
        return self._trouble

    def _look(self) -> dict[StorePath, Fate]:
        view, paths = self._view, self._open
        known = view.known(paths) if paths else {}
        fates = self._ask_cache({path for path, one in known.items() if one.entry is None and one.concluded is None})
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

    def _ask_cache(self, unknown: set[StorePath]) -> dict[StorePath, Fate]:
        """Return what becomes of paths that the queue does not know."""
        if not self._is_published or not unknown:
            return {path: Fate(path, Ending.UNKNOWN, "unknown", _NOT_ASKED) for path in unknown}
        try:
            found = self._is_published(unknown)
        except TransientError as error:
            # It says nothing of what the queue knows.
            self._trouble = error
            return {path: Fate(path, Ending.OPEN, "open", str(error)) for path in unknown}
        fates = {path: Fate(path, Ending.UNKNOWN, "unknown", _NOWHERE) for path in unknown - found}
        return fates | {path: Fate(path, Ending.PUBLISHED, "published", "") for path in found}


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
