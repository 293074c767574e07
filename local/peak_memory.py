"""The most memory that this process has held."""

from __future__ import annotations

from pathlib import Path


def peak_memory() -> int:
    """Return the most bytes of memory that this process has held so far (resident set)."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its maximum is inherited from the process that started this one.
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    import resource  # noqa: PLC0415 - only where there is no /proc

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
