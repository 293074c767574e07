"""One round of uploads: many NARs at once, each narinfo after those of its references."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Protocol

from hook.nix_store import DumpFailedError
from nixcache.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hook.closure import Plan
    from hook.nix_store import PathInfo
    from hook.transfer.staging import Staged
    from nixcache.store_path import StorePath

BEAT_SECONDS = 1.0
"""How often the caller of a long round gets a turn, at the most."""
_BEAT_SHARE = 0.1
"""Of a round's time, for those turns: to ask for a verdict costs as much as to upload a small path."""
_WAITING_AT_MOST = 2
"""Jobs for each thread, one of which waits: no thread is idle while what another has done is written down."""


class Transfer(Protocol):
    """What puts things into staging (:class:`hook.transfer.transfer.Transfer`); called from several threads at once."""

    def put_nar(self, info: PathInfo) -> None:
        """Upload the NAR."""

    def put_log(self, info: PathInfo) -> None:
        """Upload the build log, if there is one."""

    def submit(self, info: PathInfo, ca: str | None) -> Staged:
        """Upload the narinfo, which submits the path."""


@dataclass(slots=True)
class Outcome:
    """What became of a round: what failed for good, what in passing, and the trouble that ended it early, if any."""

    failures: dict[StorePath, PermanentError] = field(default_factory=dict)
    dumps_failed: dict[StorePath, DumpFailedError] = field(default_factory=dict)
    trouble: TransientError | None = None


class UploadRound:
    """Uploads what ``plan`` lacks. A path's NAR may go at any time, its narinfo once those of its references are in.

    So a deep closure is not slower than a flat one: only the narinfos wait for one another, and they are small.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        transfer: Transfer,
        content_addresses: Mapping[StorePath, str],
        at_once: int,
        build_logs: bool,
        submitted: Callable[[dict[StorePath, Staged]], None],
        beat: Callable[[], None],
    ) -> None:
        """``submitted`` hears of narinfos as they go; ``beat`` is called now and then while uploads go on.

        Both are called in the thread of :meth:`run`.
        """
        self._infos = plan.missing
        self._transfer = transfer
        self._content_addresses = content_addresses
        self._at_once = at_once
        self._build_logs = build_logs
        self._tell = submitted
        self._beat = beat
        self._outcome = Outcome()
        self._references = plan.order()
        self._order: TopologicalSorter[StorePath] = TopologicalSorter(self._references)
        # References first here, too: what is interrupted has then submitted as much as it could.
        self._nars = deque(TopologicalSorter(self._references).static_order())
        self._has_nar: set[StorePath] = set()
        self._may_follow: set[StorePath] = set()
        """Those whose references are all submitted."""
        self._narinfos: deque[StorePath] = deque()
        self._lost: set[StorePath] = set()
        """Those that cannot be submitted in this round, for their own sake or that of a reference."""
        self._running: dict[Future[Staged | None], StorePath] = {}

    def run(self) -> Outcome:
        """Upload until everything is through or trouble ends it; raises what ``submitted`` and ``beat`` raise."""
        self._order.prepare()
        self._advance()
        next_beat = time.monotonic() + BEAT_SECONDS
        pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="upload")
        try:
            while self._start(pool):
                done = wait(self._running, timeout=BEAT_SECONDS, return_when=FIRST_COMPLETED).done
                self._settle(done)
                if (began_at := time.monotonic()) >= next_beat:
                    self._beat()
                    ended_at = time.monotonic()
                    next_beat = ended_at + max(BEAT_SECONDS, (ended_at - began_at) / _BEAT_SHARE)
        finally:
            pool.shutdown(cancel_futures=True)
        return self._outcome

    def _start(self, pool: ThreadPoolExecutor) -> bool:
        """Keep the pool busy, narinfos first; after trouble nothing new is begun: it would meet the same."""
        while not self._outcome.trouble and len(self._running) < self._at_once * _WAITING_AT_MOST:
            if self._narinfos:
                path = self._narinfos.popleft()
                self._running[pool.submit(self._submit, path)] = path
            elif self._nars:
                path = self._nars.popleft()
                if not self._lost.isdisjoint(self._references[path]):
                    self._lose(path)
                    continue
                self._running[pool.submit(self._put_nar, path)] = path
            else:
                break
        return bool(self._running)

    def _put_nar(self, path: StorePath) -> Staged | None:
        self._transfer.put_nar(self._infos[path])
        return None

    def _submit(self, path: StorePath) -> Staged | None:
        info = self._infos[path]
        if self._build_logs:
            self._transfer.put_log(info)
        return self._transfer.submit(info, self._content_addresses.get(path))

    def _settle(self, done: set[Future[Staged | None]]) -> None:
        submitted: dict[StorePath, Staged] = {}
        for job in done:
            path = self._running.pop(job)
            try:
                staged = job.result()
            except PermanentError as error:
                self._outcome.failures[path] = error
                self._lose(path)
            except DumpFailedError as error:
                # Of this path alone: one bad sector must not hold up the others.
                self._outcome.dumps_failed[path] = error
                self._lose(path)
            except TransientError as error:
                self._outcome.trouble = self._outcome.trouble or error
            else:
                if staged is None:
                    self._has_nar.add(path)
                    if path in self._may_follow:
                        self._narinfos.append(path)
                else:
                    submitted[path] = staged
        if submitted:
            # Written down before anything follows: killed in between, a reference is at worst submitted twice.
            self._tell(submitted)
            self._order.done(*submitted)
            self._advance()

    def _advance(self) -> None:
        for path in self._order.get_ready():
            self._may_follow.add(path)
            if path in self._has_nar:
                self._narinfos.append(path)

    def _lose(self, path: StorePath) -> None:
        self._lost.add(path)
