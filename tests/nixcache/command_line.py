"""`python -m nixcache` as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]


def start(
    *arguments: str | Path | bytes,
    stdout: int | IO[bytes] = subprocess.PIPE,
    script: str = 'exec "$@"',
    **variables: str,
) -> subprocess.Popen[bytes]:
    """Start it with buffered output, as outside of tests; ``script`` may redirect what it starts."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.Popen(
        ["sh", "-c", script, "sh", sys.executable, "-m", "nixcache", *arguments],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**environment, "PYTHONPATH": str(ROOT), **variables},
    )


def finish(process: subprocess.Popen[bytes], data: bytes = b"") -> tuple[int, bytes, str]:
    """Return exit code, standard output and standard error, which never holds a traceback."""
    out, err = process.communicate(data, timeout=60)
    text = err.decode(errors="replace")
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    return process.returncode, out or b"", text


def run(*arguments: str | Path | bytes, data: bytes = b"") -> tuple[int, bytes, str]:
    """Run it from start to end."""
    return finish(start(*arguments), data)
