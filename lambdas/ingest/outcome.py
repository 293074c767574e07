"""How a submission ended, and what readers see of its store path then. The first publication stays (I3)."""

from __future__ import annotations

from dataclasses import dataclass

from lambdas.ingest.claim import Claim
from lambdas.ingest.ports import PublishedNarInfo
from nixcache.narinfo import NarInfo
from protocol.verdicts import Conflict, Duplicate, Published, Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict, and the narinfo that is visible under the submission's hash part, if one is known to be."""

    verdict: Verdict
    visible: NarInfo | None = None


def committed(narinfo: NarInfo) -> Outcome:
    """Return the outcome of the submission that ``narinfo`` was published for."""
    return Outcome(Published(tuple(signature.key_name for signature in narinfo.signatures)), narinfo)


def compare(claim: Claim, published: PublishedNarInfo) -> Outcome:
    """Return the outcome of ``claim`` where its hash part is taken already (I3)."""
    ours, theirs = claim.narinfo, published.narinfo
    if _identity(ours) != _identity(theirs):
        return Outcome(Conflict(theirs.nar_hash, ours.nar_hash), theirs)
    if published.submission_digest == claim.submission.digest:
        # It is this very submission's own publication, made before a crash or a lost answer (docs/adr/0021).
        return committed(theirs)
    return Outcome(Duplicate(), theirs)


def _identity(narinfo: NarInfo) -> tuple[object, ...]:
    """Return what must never change once it is published: what the signature covers, and the content address."""
    return narinfo.fingerprint(), narinfo.ca
