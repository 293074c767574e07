"""What ``assay status`` prints: for people, or as one JSON document."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from hook.post_build import LOG_NAME
from hook.queue.entry import Queued, Refused, Submitted
from hook.uploader import stuck
from hook.wording import of_quorum
from protocol.verdicts import AwaitingQuorum

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hook.queue.entry import Entry
    from hook.queue.queue import Queue


def as_json(queue: Queue) -> str:
    """Return the queue as one JSON document; times are in seconds since the epoch. Raises OSError."""
    entries, unreadable = queue.read()
    document = {
        "stateDir": str(queue.state_dir),
        "entries": [entry.document(queue.store_dir) for entry in _by_age(entries.values())],
        "unreadable": [{"file": str(file), "problem": str(error)} for file, error in unreadable],
        "quarantined": [str(file) for file in queue.quarantined()],
        "hookProblems": _hook_problems(queue),
    }
    return json.dumps(document, indent=1)


def as_text(queue: Queue) -> str:
    """Return a line for each path, and one for each thing that somebody should look at. Raises OSError."""
    entries, unreadable = queue.read()
    blocked = stuck(entries)
    now = time.time()
    lines = [
        f"{entry.progress.state:<9} {_age(now - entry.queued_at):>4}  {entry.path.base_name}  "
        f"{_remark(entry, now)}{' (which was rejected)' if entry.path in blocked else ''}".rstrip()
        for entry in _by_age(entries.values())
    ]
    lines += [f"unreadable: {file}: {error}" for file, error in unreadable]
    lines += [f"set aside: {file}; push its paths again, then delete it" for file in queue.quarantined()]
    if problems := _hook_problems(queue):
        lines.append(f"hook problems in {queue.state_dir / LOG_NAME}: {len(problems)}, the last: {problems[-1]}")
    return "\n".join(lines) if lines else "Nothing is queued."


def _by_age(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.queued_at, entry.path))


def _remark(entry: Entry, now: float) -> str:
    match entry.progress:
        case Queued(tries=0):
            return ""
        case Queued(tries=tries, next_attempt_at=at, problem=problem):
            return f"try {tries + 1} in {_age(max(0, at - now))}: {problem}"
        case Submitted(quorum=AwaitingQuorum() as quorum):
            return f"awaits a quorum: {of_quorum(quorum)}"
        case Submitted(waits_for=()):
            return "awaits its verdict"
        case Submitted(waits_for=missing):
            return f"waits for {', '.join(path.base_name for path in missing)}"
        case Refused(problem=problem):
            return problem


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(0, seconds):.0f}s"


def _hook_problems(queue: Queue) -> list[str]:
    try:
        return (queue.state_dir / LOG_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
