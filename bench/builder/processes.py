"""Processes of any contestant, started and measured in one way."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final, Self

from bench.costs import Cost
from local.aws import PROJECT_ROOT

_METERED: Final = Path(__file__).with_name("metered.py")


class Metered:
    """A command that runs; its cost is known at its end."""

    def __init__(self, command: tuple[str | Path, ...], environment: Mapping[str, str]) -> None:
        """Start it."""
        self._command = command
        # Files, not pipes: nobody reads them while it runs, and a full pipe would stop it.
        self._output: IO[bytes] = TemporaryFile()  # noqa: SIM115 - closed at the end
        self._complaint: IO[bytes] = TemporaryFile()  # noqa: SIM115 - closed at the end
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))  # metered.py unblocks it
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", _METERED, *command],
            cwd=PROJECT_ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._complaint,
        )
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, if it still runs."""
        self._process.terminate()
        self._process.wait()
        self._output.close()
        self._complaint.close()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def stop(self) -> Cost:
        """Ask it to end; return its cost, however it ends."""
        self._process.terminate()
        self._process.wait()
        return self._cost()

    def wait(self) -> Cost:
        """Wait for its end; raises SystemExit with its complaint if it fails."""
        if self._process.wait():
            raise SystemExit(f"bench: {' '.join(map(str, self._command))} failed:\n{self.complaint()}")
        return self._cost()

    def complaint(self) -> str:
        """Return the end of what it said on standard error."""
        self._complaint.seek(0)
        return self._complaint.read().decode(errors="replace")[-2000:]

    def _cost(self) -> Cost:
        self._output.seek(0)
        seconds, cpu_seconds, peak_memory = self._output.read().decode(errors="replace").splitlines()[-3:]
        return Cost(seconds=float(seconds), cpu_seconds=float(cpu_seconds), peak_memory=int(peak_memory))


def run(*command: str | Path, environment: Mapping[str, str]) -> Cost:
    """Run a command to its end; raises SystemExit with its complaint if it fails."""
    with Metered(command, environment) as process:
        return process.wait()
