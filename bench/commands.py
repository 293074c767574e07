"""Other people's programs, measured: their time, and that of their processes."""

from __future__ import annotations

import resource
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from bench.costs import Cost

Command: TypeAlias = tuple[str | Path, ...]


def missing(*programs: str) -> list[str]:
    """Return which of ``programs`` are not on PATH."""
    return [program for program in programs if shutil.which(program) is None]


def run(*pipeline: Command, environment: Mapping[str, str] | None = None) -> tuple[Cost, bytes]:
    """Run a pipeline of commands; return its cost and what the last one wrote.

    Raises SystemExit with the complaint of the first command that fails.
    """
    cpu_seconds = _cpu_of_children()
    seconds = time.perf_counter()
    with ExitStack() as running:
        processes: list[subprocess.Popen[bytes]] = []
        for command in pipeline:
            process = subprocess.Popen(
                command,
                stdin=processes[-1].stdout if processes else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
            )
            processes.append(running.enter_context(process))
        output, complaint = processes[-1].communicate()
        complaints = [process.stderr.read() for process in processes[:-1] if process.stderr] + [complaint]
        exit_codes = [process.wait() for process in processes]
    seconds = time.perf_counter() - seconds
    for command, said, exit_code in zip(pipeline, complaints, exit_codes, strict=True):
        if exit_code:
            raise SystemExit(f"bench: {' '.join(map(str, command))} failed: {said.decode(errors='replace').strip()}")
    return Cost(seconds=seconds, cpu_seconds=_cpu_of_children() - cpu_seconds), output


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
