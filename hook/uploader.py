"""The uploader's work, a step at a time: take in what hooks queued, upload what is due, follow each to its verdict."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from hook.backoff import delay
from hook.closure import plan
from hook.errors import Cause, Trouble, of_disk
from hook.nix_store import DumpFailedError, vanished
from hook.queue.entry import Entry, Queued, Submitted
from hook.queue.view import Concluded
from hook.upload_round import UploadRound
from hook.verdict_watch import VerdictWatch
from nixcache.errors import AssayError, PermanentError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from threading import Event

    from hook.closure import Plan
    from hook.lookup import NarInfoLookup
    from hook.nix_store import NixStore
    from hook.queue.queue import Queue
    from hook.report import Report
    from hook.transfer.staging import Staged
    from hook.transfer.transfer import Transfer
    from hook.verdicts import Ledger
    from nixcache.store_path import StorePath

ALREADY_PUBLISHED: Final = "already-published"
AT_ONCE: Final = 12
"""Uploads at a time: small ones wait for round trips. The compressors of 16 would take the process beyond 200 MiB."""
BATCH: Final = 1000
"""Paths of one round, and hook runs taken in at once: a queue of a million is worked off in bounded memory."""
CLEAR_UP_SECONDS: Final = 300.0
"""How often multipart uploads that are wanted no more are looked for."""
PRESENT_SECONDS: Final = 24 * 3600
"""How long a dependency that was found published is not asked about again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the uploader works with."""

    queue: Queue
    nix_store: NixStore
    lookup: NarInfoLookup
    transfer: Transfer
    ledger: Ledger


class Uploader:
    """Works on a queue that this process owns. ``report`` hears of each thing that people want to know."""

    def __init__(
        self,
        ports: Ports,
        *,
        report: Report,
        stop: Event,
        build_logs: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``build_logs`` says whether they go along; ``now`` is the time in seconds since the epoch."""
        self._ports = ports
        self._queue = ports.queue
        self._nix_store = ports.nix_store
        self._report = report
        self._stop = stop
        self._build_logs = build_logs
        self._now = now
        self._watch = VerdictWatch(ports.queue, ports.ledger, ports.nix_store, report=report, stop=stop, now=now)
        self._refused = 0
        self._clears_up_at = float("-inf")
        self._beat_trouble: TransientError | None = None
        self._at_once = AT_ONCE

    @property
    def refused(self) -> int:
        """How many paths it had to give up."""
        return self._refused + self._watch.refused

    def take_in(self) -> None:
        """Make entries of what hooks have spooled; raises OSError and :class:`TransientError`."""
        while self._queue.take_in(self._nix_store.outputs, limit=BATCH) == BATCH:
            pass

    def poll(self) -> TransientError | None:
        """Ask for verdicts; returns the trouble, if asking failed; raises OSError for the queue's disk."""
        return self._watch.poll()

    def give_up_parts(self) -> None:
        """Abort the multipart uploads that were begun: whoever interrupts a CI job will never resume them."""
        with suppress(TransientError):
            self._ports.transfer.clear_up()

    def upload_due(self) -> TransientError | None:
        """Upload what is queued and due, with the part of its closure that is missing.

        Returns the trouble that kept some of it in the queue, if there was any; raises OSError for the queue's disk.
        """
        trouble: TransientError | None = None
        self._beat_trouble = None
        while not self._stop.is_set() and (due := self._queue.due(self._now(), BATCH)):
            met = self._upload(due)
            trouble = met or trouble
            if met and not isinstance(met, DumpFailedError):
                return met
        if not trouble and not self._stop.is_set():
            self._clear_up()
        return trouble or self._beat_trouble

    def _clear_up(self) -> None:
        """Abort what was begun and is wanted no more; that it fails keeps nothing back, and is tried again."""
        now = self._now()
        if now < self._clears_up_at <= now + CLEAR_UP_SECONDS:
            return
        self._clears_up_at = now + CLEAR_UP_SECONDS
        try:
            self._ports.transfer.clear_up()
        except TransientError as error:
            self._report.problem(f"A multipart upload that is wanted no more cannot be aborted: {error}")

    def _upload(self, due: list[Entry]) -> TransientError | None:
        """Work one batch off: afterwards each of it is submitted, concluded, refused or postponed."""
        asked_for = {entry.path for entry in due}
        try:
            planned = plan(
                asked_for, present=lambda paths: self._present(paths, asked_for), infos=self._nix_store.infos
            )
            content_addresses = self._nix_store.content_addresses(planned.missing)
        except AssayError as error:
            # Of the network or of Nix as a whole, not of one path: nothing is refused for it.
            trouble = error if isinstance(error, TransientError) else _of_nix(error)
            self._postpone(asked_for, trouble)
            return trouble
        published = asked_for - planned.missing.keys() - planned.vanished
        for path in (entry.path for entry in due if entry.path in published):
            self._report.progress(f"already published {path.base_name}")
            self._queue.conclude(path, Concluded(path, self._now(), ALREADY_PUBLISHED, ""))
        self._report.planned(len(planned.missing), sum(info.nar_size for info in planned.missing.values()))
        outcome = UploadRound(
            planned,
            transfer=self._ports.transfer,
            content_addresses=content_addresses,
            at_once=self._at_once,
            build_logs=self._build_logs,
            submitted=partial(self._submitted, planned),
            beat=self._beat,
        ).run()
        self._pace(outcome.trouble)
        self._refuse(planned, outcome.failures, asked_for)
        trouble_met = outcome.trouble or next(iter(outcome.dumps_failed.values()), None)
        if trouble_met and not self._stop.is_set():
            self._postpone(asked_for, trouble_met)
        return trouble_met

    def _present(self, paths: set[StorePath], asked_for: set[StorePath]) -> set[StorePath]:
        """Return what needs no upload: published, in staging already, or refused before.

        What was asked for is always looked up: somebody who builds or pushes a path again may have deleted it.
        """
        on_its_way = {
            path for path, entry in self._queue.get_many(paths).items() if not isinstance(entry.progress, Queued)
        }
        rest = paths - on_its_way
        now = self._now()
        remembered = self._queue.recall_present(rest - asked_for, now)
        found = self._ports.lookup.present(rest - remembered)
        self._queue.remember_present(found, now + PRESENT_SECONDS)
        return on_its_way | remembered | found

    def _beat(self) -> None:
        """Follow verdicts while a long round goes on; trouble with that is told after the round."""
        try:
            self._beat_trouble = self.poll()
        except OSError as error:
            self._beat_trouble = of_disk(error)
        except TransientError as error:
            self._beat_trouble = error

    def _submitted(self, planned: Plan, staged: dict[StorePath, Staged]) -> None:
        """Remember what was submitted. A dependency, which no hook has queued, gets its entry here."""
        now = self._now()
        known = self._queue.get_many(staged)
        entries = []
        for path, version in staged.items():
            entry = known.get(path)
            if entry is None:
                # What it is a dependency of may be refused, and its root with it, long before this one's verdict is in.
                self._queue.root(path)
            uploads = entry.progress.uploads if entry and isinstance(entry.progress, Queued) else 0
            progress = Submitted(version_id=version.version_id, staged_at=version.at, since=now, uploads=uploads + 1)
            entries.append(Entry(path, entry.queued_at if entry else now, progress))
        self._queue.save(*entries)
        for path in staged:
            self._report.progress(f"submitted {path.base_name} ({planned.missing[path].nar_size} bytes of NAR)")

    def _pace(self, trouble: TransientError | None) -> None:
        """Halve what is done at once when S3 asks for less, and come back by and by."""
        if isinstance(trouble, Trouble) and trouble.cause is Cause.THROTTLED:
            self._at_once = max(1, self._at_once // 2)
        elif trouble is None:
            self._at_once = min(AT_ONCE, self._at_once * 2)

    def _refuse(self, planned: Plan, failures: dict[StorePath, PermanentError], asked_for: set[StorePath]) -> None:
        render = self._nix_store.store_dir.render
        failures = failures | {path: vanished(render(path)) for path in planned.vanished}
        for path, cause in planned.blocked_by(failures).items():
            if path not in asked_for:
                continue
            error = failures[cause]
            needs = "" if cause == path else f"it needs {cause.base_name}, which cannot be uploaded. "
            self._report.problem(f"rejected {path.base_name}: {needs}{error}")
            self._queue.refuse(path, code=error.code, problem=f"{needs}{error}")
            self._refused += 1

    def _postpone(self, paths: Iterable[StorePath], trouble: TransientError) -> None:
        cause = trouble.cause if isinstance(trouble, Trouble) else Cause.NETWORK
        postponed = []
        for entry in self._queue.get_many(paths).values():
            if isinstance(entry.progress, Queued):
                tries = entry.progress.tries + 1
                progress = replace(
                    entry.progress,
                    tries=tries,
                    next_attempt_at=self._now() + delay(cause, tries),
                    problem=str(trouble),
                    cause=cause,
                )
                postponed.append(replace(entry, progress=progress))
        self._queue.save(*postponed)


def _of_nix(error: AssayError) -> Trouble:
    return Trouble(Cause.MACHINE, error.problem, remedy=error.remedy)
