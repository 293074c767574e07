"""What of the spool can be taken in now, and when the rest is looked at again."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hook.errors import BuilderCode
from nixcache.errors import AssayError, PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hook.queue.quarantine import Quarantine
    from hook.queue.spool import Spool
    from hook.report import Report
    from nixcache.store_path import StorePath

STALE_SECONDS: Final = 3600
"""Age at which a derivation whose outputs Nix cannot tell belongs to a past build."""
ASKED_AT_ONCE: Final = 16
"""Derivations that Nix is asked about in one go, which takes tens of milliseconds for each."""
_LISTED: Final = 50_000
"""Names that are kept of a spool: to list a million again for each thousand would cost more than to read them."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the hook, by the ``name`` of its spool entry: what it built, and when, in seconds since the epoch."""

    name: str
    paths: tuple[StorePath, ...]
    at: float


class Intake:
    """Reads the spool in the order of time, and remembers what it could not read."""

    def __init__(self, spool: Spool, quarantine: Quarantine, report: Report) -> None:
        self._spool = spool
        self._quarantine = quarantine
        self._report = report
        self._listed: deque[str] = deque()
        self._told: set[str] = set()

    def gather(self, outputs: Callable[[StorePath], list[StorePath]], limit: int) -> list[Run]:
        """Return ``limit`` runs at the most; what is no spool entry is set aside. Raises OSError for the directory."""
        if not self._listed:
            self._listed.extend(self._spool.oldest(_LISTED))
        runs: list[Run] = []
        asked = 0
        while self._listed and len(runs) < limit and asked < ASKED_AT_ONCE:
            name = self._listed.popleft()
            try:
                entry, at = self._spool.read(name)
            except PermanentError as error:
                self._set_aside(name, error)
                continue
            except FileNotFoundError:
                continue
            except OSError as error:
                self._tell(name, f"The spool entry {name} cannot be read: {error.strerror}.")
                continue
            paths = entry.paths
            if entry.drv_path and not paths:
                asked += 1
                paths = self._ask(name, at, entry.drv_path, outputs)
            if paths:
                runs.append(Run(name, paths, at))
        return runs

    def done(self, runs: list[Run]) -> None:
        """Delete the spool entries of ``runs``: what they say is durable elsewhere. Raises OSError."""
        for run in runs:
            self._spool.file(run.name).unlink(missing_ok=True)
            self._told.discard(run.name)

    def _ask(
        self, name: str, at: float, drv_path: StorePath, outputs: Callable[[StorePath], list[StorePath]]
    ) -> tuple[StorePath, ...]:
        try:
            paths = tuple(outputs(drv_path))
        except PermanentError as error:
            problem = error
        except AssayError as error:
            # Nix as a whole cannot tell now, so that says nothing of this derivation.
            self._tell(name, str(error))
            return ()
        else:
            # None at all is no answer either: something was built.
            problem = PermanentError(
                BuilderCode.NIX_FAILED,
                f"Nix names no output of {drv_path.base_name}.",
                remedy="Push what it built with `assay push`, then delete the entry.",
            )
            if paths:
                return paths
        # Nix may register the outputs only after the hook; an hour later it never will.
        if time.time() - at > STALE_SECONDS:
            self._set_aside(name, problem)
        return ()

    def _set_aside(self, name: str, error: PermanentError) -> None:
        self._told.discard(name)
        try:
            self._quarantine.move(self._spool.file(name), error)
        except OSError as trouble:
            self._tell(name, f"{error} It cannot be moved: {trouble.strerror}.")

    def _tell(self, name: str, line: str) -> None:
        """Say it once of each, however often it is looked at."""
        if name not in self._told:
            self._report.problem(line)
        self._told.add(name)
