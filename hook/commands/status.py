"""``assay status``: what is queued, since when, and why; what became of what has left; what went wrong besides."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hook import wording
from hook.config import machine_config
from hook.exit_code import ExitCode
from hook.post_build import LOG_NAME
from hook.queue.entry import Refused, Submitted
from hook.queue.view import QueueView

if TYPE_CHECKING:
    from hook.queue.view import Overview
    from hook.report import Report
    from nixcache.store_path import StorePath

SCHEMA: Final = 1
SHOWN: Final = 50
"""Entries for people, who have a terminal."""
LISTED: Final = 10_000
"""Entries in the JSON document, some 5 MB."""
_VERDICTS_SHOWN: Final = 10
_SET_ASIDE_SHOWN: Final = 10
_PROBLEMS: Final = 10
_TAIL: Final = 32 * 1024
"""Bytes at the end of the hook's log that are looked at: it may have a megabyte."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "status",
        help="show what is queued, since when, and why",
        description="Shows the queue (the oldest paths first), the last verdicts, what went wrong in the hook, and"
        " whether an uploader works. Needs no network.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document (docs/reference/assay-json.md)")


def run(arguments: argparse.Namespace, report: Report) -> ExitCode:
    """Print it."""
    config = machine_config(os.environ)
    view = QueueView(config.state_dir, config.store_dir)
    if arguments.json:
        report.document(as_json(view))
    else:
        report.progress(as_text(view, now=time.time()))
    return ExitCode.DONE


def as_json(view: QueueView) -> str:
    """Return one JSON document; times are in seconds since the epoch. Raises TransientError and OSError."""
    document = {
        "schema": SCHEMA,
        "stateDir": str(view.state_dir),
        **view.overview(limit=LISTED).document(view.store_dir),
        "hookProblems": hook_problems(view.state_dir),
    }
    return json.dumps(document, indent=1)


def as_text(view: QueueView, *, now: float) -> str:
    """Return some dozens of lines, however long the queue is; raises TransientError and OSError."""
    overview = view.overview(limit=SHOWN)
    lines = [_counts(overview), _owner(overview), *_entries(overview, _refused(view, overview), now)]
    if overview.concluded:
        lines += ["", "last verdicts:"]
        for one in overview.concluded[:_VERDICTS_SHOWN]:
            remark = f"  {one.remark}" if one.remark else ""
            lines.append(f"  {one.outcome}  {wording.of_age(now - one.at)} ago  {one.path.base_name}{remark}")
    if problems := hook_problems(view.state_dir):
        lines += ["", f"the hook had problems (delete {view.state_dir / LOG_NAME} once they are mended):"]
        lines += [f"  {line}" for line in problems]
    if overview.set_aside:
        lines += ["", "could not be read (delete these files once their paths are pushed again):"]
        lines += [f"  set aside: {file}" for file in overview.set_aside[:_SET_ASIDE_SHOWN]]
        lines += _more(len(overview.set_aside) - _SET_ASIDE_SHOWN)
    return "\n".join(lines)


def hook_problems(state_dir: Path) -> list[str]:
    """Return the last lines of the hook's log, none where there is none; raises OSError."""
    try:
        with (state_dir / LOG_NAME).open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - _TAIL)
            file.seek(start)
            lines = file.read(_TAIL).decode(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    # The first one may have begun before what was read.
    return lines[1 if start else 0 :][-_PROBLEMS:]


def _counts(overview: Overview) -> str:
    parts = [f"{count:,} {state}" for state, count in overview.counts.items() if count]
    if overview.spooled:
        parts.append(f"{overview.spooled:,} hook {'run' if overview.spooled == 1 else 'runs'} not taken in yet")
    return ", ".join(parts) if parts else "Nothing is queued."


def _owner(overview: Overview) -> str:
    if overview.owner is not None:
        return f"An uploader works on it: process {overview.owner}."
    return "No uploader works on it: `assay daemon` does, or once, `assay upload --once`."


def _refused(view: QueueView, overview: Overview) -> set[StorePath]:
    """Return which of the paths that those shown wait for were rejected."""
    waited_for = {
        path for entry in overview.entries if isinstance(entry.progress, Submitted) for path in entry.progress.waits_for
    }
    known = view.known(waited_for) if waited_for else {}
    return {path for path, one in known.items() if one.entry and isinstance(one.entry.progress, Refused)}


def _entries(overview: Overview, refused: set[StorePath], now: float) -> list[str]:
    lines = [
        f"{entry.progress.state:<9}  {wording.of_age(now - entry.queued_at):>6}  {entry.path.base_name}"
        f"  {wording.of_progress(entry.progress, refused, now)}"
        for entry in overview.entries
    ]
    return ["", *lines, *_more(sum(overview.counts.values()) - len(lines))] if lines else []


def _more(count: int) -> list[str]:
    return [f"… and {count:,} more"] if count > 0 else []
