"""A check: what was looked at, what was found, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from hook.post_build import describe
from nixcache.errors import AssayError


class Status(StrEnum):
    """How a check ended. A warning may be meant so, or be over by itself; a failure keeps paths from the cache.

    What was skipped could not be looked at, and another check says why.
    """

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """``finding`` and ``fix`` are a sentence or two; ``fix`` is empty where all is well; ``name`` is stable."""

    name: str
    status: Status
    finding: str
    fix: str = ""


Examine: TypeAlias = Callable[[], list[Check]]


def ok(name: str, finding: str) -> Check:
    """Nothing is to be done."""
    return Check(name, Status.OK, finding)


def warn(name: str, finding: str, fix: str) -> Check:
    """It may be meant so."""
    return Check(name, Status.WARN, finding, fix)


def fail(name: str, finding: str, fix: str) -> Check:
    """Like this, nothing or not everything reaches the cache."""
    return Check(name, Status.FAIL, finding, fix)


def skip(name: str, finding: str, fix: str) -> Check:
    """Nothing can be told before another check is mended."""
    return Check(name, Status.SKIP, finding, fix)


def failed(name: str, error: AssayError | OSError) -> Check:
    """Say what ``error`` says."""
    if isinstance(error, OSError):
        return fail(name, describe(error), "See to it, or run the doctor as root.")
    return fail(name, error.problem, error.remedy or "Try again; should it stay, ask the service's operator.")


def guarded(name: str, examine: Examine) -> list[Check]:
    """Examine, and turn whatever is raised into a failed check: one that breaks must not take the others along."""
    try:
        return examine()
    except (AssayError, OSError) as error:
        return [failed(name, error)]
    except Exception as error:  # noqa: BLE001 - a doctor with a traceback is no help to anybody
        return [fail(name, f"The check itself broke: {error!r}.", "Report it with this line.")]
