"""The uploader as a service manager keeps it: started again whenever it has died, which it does often here."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from local.aws import PROJECT_ROOT
from tests.storm import crashes

KILL: Final = "uploader killed"
POWER: Final = "machine: power lost"
TORN: Final = "machine: files copied while they were written"
LIAR: Final = "machine: disk lost what it had synced"
_SHORT_LIFE: Final = 3.0
_LONGEST_LIFE: Final = 60.0
"""Seconds. A life that ends at a line may take longer: on a slow machine some of them must get something done."""
_MOST_LINES: Final = 25


class KilledUploader:
    """Lives and dies in a thread of its own; each death is due at a moment, or at a line that the uploader prints."""

    def __init__(
        self,
        environment: Mapping[str, str],
        state_dir: Path,
        directory: Path,
        deaths: list[str],
        rng: random.Random,
        *,
        database_lost: Callable[[], None],
    ) -> None:
        """``deaths`` are to come, in this order; ``database_lost`` is called where the database's memory may end."""
        self._environment = environment
        self._state_dir = state_dir
        self._directory = directory
        self._deaths = deaths
        self._rng = rng
        self._database_lost = database_lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.died: Counter[str] = Counter()
        self.log = directory / "uploader.log"
        self.problems: list[str] = []

    def start(self) -> None:
        """Begin its first life."""
        self._thread.start()

    def outlive(self) -> None:
        """Wait until it has died all its deaths and has ended in peace; raises AssertionError if it could not."""
        self._stop.set()
        self._thread.join()
        if self.problems:
            raise AssertionError("\n".join(self.problems))

    def end(self) -> None:
        """End it after the life that it has now."""
        self._deaths.clear()
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._deaths:
                self._live(self._deaths.pop(), len(self._deaths))
            self._live_on()
        except Exception as error:  # noqa: BLE001 - it is raised where the thread is joined
            self.problems.append(f"the uploader's thread ended: {error!r}")

    def _live(self, death: str, number: int) -> None:
        process = self._spawn()
        self._wait_for_the_moment(process)
        if process.poll() is not None:
            self.problems.append(f"the uploader ended by itself, with exit {process.returncode}: see {self.log}")
        copy = self._directory / f"copy-{number}"
        if death == TORN:
            crashes.copy_while_it_is_written(self._state_dir, copy, self._rng)
        process.kill()
        process.wait()
        if death == POWER:
            crashes.lose_power(self._state_dir, self._rng)
        elif death == TORN:
            crashes.put_back(copy, self._state_dir)
        elif death == LIAR:
            crashes.lose_more(self._state_dir, self._rng)
        if death in {TORN, LIAR}:
            self._database_lost()
        self.died[death] += 1

    def _live_on(self) -> None:
        process = self._spawn()
        self._stop.wait()
        process.terminate()
        # It may not have come as far as to notice a signal by itself.
        if (code := process.wait()) not in {0, -signal.SIGTERM}:
            self.problems.append(f"the uploader ended with exit {code} when it was asked to stop: see {self.log}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "hook", "daemon"],
                cwd=PROJECT_ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def _wait_for_the_moment(self, process: subprocess.Popen[bytes]) -> None:
        said = self.log.stat().st_size
        lines, longest = self._rng.randint(1, _MOST_LINES), _LONGEST_LIFE
        if self._rng.random() < 0.5:
            lines, longest = sys.maxsize, self._rng.uniform(0.05, _SHORT_LIFE)
        end = time.monotonic() + longest
        with self.log.open("rb") as log:
            log.seek(said)
            while time.monotonic() < end and process.poll() is None:
                lines -= log.read().count(b"\n")
                if lines <= 0:
                    return
                time.sleep(0.02)
