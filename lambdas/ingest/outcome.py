"""How a submission ended, and what readers see of its store path then. The first publication stays (I3)."""

from __future__ import annotations

from dataclasses import dataclass

from lambdas.ingest.claim import Claim
from lambdas.ingest.ports import PublishedNarInfo
from nixcache.content_address import ContentAddress
from nixcache.narinfo import NarInfo
from protocol.verdicts import Conflict, Duplicate, Published, Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict, and the narinfo that is visible under the submission's hash part, if one is known to be."""

    verdict: Verdict
    visible: NarInfo | None = None


def committed(publication: PublishedNarInfo) -> Outcome:
    """Return the outcome of the submission that ``publication`` was made for."""
    narinfo = publication.narinfo
    signed_by = tuple(signature.key_name for signature in narinfo.signatures)
    return Outcome(Published(signed_by, publication.warnings), narinfo)


def compare(claim: Claim, published: PublishedNarInfo) -> Outcome:
    """Return the outcome of ``claim`` where its hash part is taken already (I3)."""
    ours, theirs = claim.narinfo, published.narinfo
    if ours.fingerprint() != theirs.fingerprint() or _contradict(ours.ca, theirs.ca):
        return Outcome(Conflict(theirs.nar_hash, ours.nar_hash), theirs)
    if published.submission_digest == claim.submission.digest:
        # It is this very submission's own publication, made before a crash or a lost answer (docs/adr/0021).
        return committed(published)
    return Outcome(Duplicate(), theirs)


def _contradict(one: ContentAddress | None, other: ContentAddress | None) -> bool:
    """An address that is absent contradicts none: verifying leaves out, and fills in, addresses (docs/adr/0043)."""
    return one is not None and other is not None and one != other
