"""`python -m nixcache` as a user starts it, and what it answers; the fixture `call` calls it without a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

Answer = tuple[int, str, str]
"""Exit code, standard output and standard error."""
Call = Callable[..., Answer]

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


def verdict(answer: Answer, code: int) -> dict[str, Any]:
    """Return the one line of JSON that was printed with exit code ``code``."""
    assert answer[0] == code
    assert answer[1].count("\n") == 1, "one line of JSON"
    assert answer[2] == ""
    document = json.loads(answer[1])
    assert isinstance(document, dict)
    return document
