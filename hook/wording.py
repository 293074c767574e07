"""Verdicts in words for people at a builder: what happened, and what they can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from hook.queue.entry import Queued, Refused, Submitted
from protocol.verdicts import Against, AwaitingQuorum, ServiceCode

if TYPE_CHECKING:
    from collections.abc import Container

    from hook.queue.entry import Progress
    from nixcache.hashes import Hash
    from nixcache.store_path import StorePath
    from protocol.results import Result
    from protocol.verdicts import Conflict, PublicationWarning, Rejected

NAMED_AT_MOST: Final = 3
"""Paths or hashes in one line; the result document names more."""

# The service's remedy says what is to be done; this says how it is done from here.
_FROM_HERE: Final = {
    ServiceCode.REFERENCES_MISSING.value: "`assay push` submits it, with all of its closure that is missing.",
    ServiceCode.QUORUM_MISSING.value: "`assay push` submits it again.",
    ServiceCode.WITHDRAWN.value: "Pushing it again changes nothing, unless the operator readmits it.",
    ServiceCode.NOT_ALLOWED.value: "Pushing it again changes nothing, unless the operator changes the policy.",
}


def of_quorum(quorum: AwaitingQuorum) -> str:
    """Say how far the builders' agreement has come."""
    return f"{quorum.have} of {quorum.need} builders agree"


def of_rejection(verdict: Rejected) -> str:
    """Say what is wrong with the submission, and what to do."""
    place = f" ({verdict.field})" if verdict.field else ""
    return f"{verdict.code}{place}: {verdict.problem} {verdict.remedy} {_FROM_HERE.get(verdict.code, '')}".rstrip()


def of_conflict(verdict: Conflict) -> str:
    """Say who has another object under the path, what differs, and what to do."""
    if verdict.other_nar_hash == verdict.submitted_nar_hash:
        differs = "other references or another content address"
    else:
        differs = f"nar hash {verdict.other_nar_hash}, yours has {verdict.submitted_nar_hash}"
    match verdict.against:
        case Against.PUBLISHED:
            return (
                f"conflict: another object is published under this path, with {differs}."
                " The build is not reproducible: take the published one."
            )
        case Against.UPSTREAM:
            return (
                f"conflict: a trusted upstream has another object under this path, with {differs}."
                " The build is not reproducible, or one of the two is tampered with: take the upstream's, and compare."
            )
        case Against.VOTE:
            return (
                f"conflict: a vote stands for another object under this path, with {differs}."
                " It is another builder's, or an earlier one of this builder. Compare the two builds; nothing is"
                " published until enough builders agree on one, and then without another upload."
            )
    assert_never(verdict.against)


def of_warning(warning: PublicationWarning) -> str:
    """Say what the policy let pass."""
    named = ", ".join(path.base_name for path in warning.paths[:NAMED_AT_MOST])
    return f"({warning.code}): {warning.problem} {named}"


def of_dispute(result: Result) -> str:
    """Say that others have submitted something else for a path that is published, if they have."""
    if not result.disputed_by:
        return ""
    hashes: tuple[Hash, ...] = result.disputed_by[:NAMED_AT_MOST]
    return (
        f"another builder submitted other contents: NarHash {', '.join(map(str, hashes))};"
        " the build may not be reproducible. What is published stays; compare the two builds."
    )


def of_age(seconds: float) -> str:
    """Say how long that is; a clock that was set back makes nothing negative."""
    left = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if left >= size:
            return f"{left // size} {unit}"
    return f"{left} s"


def of_size(size: int) -> str:
    """Say how many bytes that are."""
    for power, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= power:
            return f"{size / power:.1f} {unit}"
    return f"{size} B"


def of_progress(progress: Progress, refused: Container[StorePath], now: float) -> str:
    """Say why an entry is still in the queue; of what it waits for, those in ``refused`` were rejected."""
    match progress:
        case Refused():
            return progress.problem
        case Submitted(quorum=AwaitingQuorum() as quorum):
            return f"awaits a quorum: {of_quorum(quorum)}"
        case Submitted(waits_for=()):
            return "awaits its verdict"
        case Submitted():
            named = [
                f"{path.base_name} (which was rejected)" if path in refused else path.base_name
                # What will never come is what people want to know first.
                for path in sorted(progress.waits_for, key=lambda path: path not in refused)[:NAMED_AT_MOST]
            ]
            more = len(progress.waits_for) - len(named)
            return f"waits for {', '.join(named)}{f' and {more} more' if more else ''}"
        case Queued(problem=""):
            return "to be uploaded"
        case Queued():
            wait = progress.next_attempt_at - now
            again = f"again in {of_age(wait)}" if wait > 0 else "again at once"
            tries = f"{progress.tries} {'try' if progress.tries == 1 else 'tries'}, " if progress.tries else ""
            return f"{tries}{again}{f' ({progress.cause})' if progress.cause else ''}: {progress.problem}"
    assert_never(progress)
