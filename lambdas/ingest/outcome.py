"""How a submission ended, and what readers see of its store path then. The first publication stays (I3)."""

from __future__ import annotations

from dataclasses import dataclass

from lambdas.ingest.claim import Claim
from lambdas.ingest.ports import PublishedNarInfo, UpstreamNarInfo
from lambdas.ingest.quorum import Agreement
from nixcache.content_address import ContentAddress
from nixcache.narinfo import NarInfo
from protocol.verdicts import Against, Conflict, Duplicate, Published, Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict, and what is published here under the submission's hash part, if that is known.

    ``agreement`` is who vouched for it, where it was published just now.
    """

    verdict: Verdict
    publication: PublishedNarInfo | None = None
    agreement: Agreement | None = None

    @property
    def is_present(self) -> bool:
        """Whether whoever waits for the path can have it now: published here, or in an upstream."""
        match self.verdict:
            case Duplicate(upstream=str()) | Conflict(against=Against.UPSTREAM):
                return True
        return self.publication is not None


def committed(publication: PublishedNarInfo, agreement: Agreement | None = None) -> Outcome:
    """Return the outcome of the submission that ``publication`` was made for."""
    return Outcome(published(publication), publication, agreement)


def published(publication: PublishedNarInfo) -> Published:
    """Return the verdict on the submission that ``publication`` was made for."""
    return Published(tuple(signature.key_name for signature in publication.narinfo.signatures), publication.warnings)


def compare(claim: Claim, publication: PublishedNarInfo) -> Outcome:
    """Return the outcome of ``claim`` where its hash part is taken already (I3)."""
    if not _are_the_same(claim.narinfo, publication.narinfo):
        return Outcome(Conflict(publication.narinfo.nar_hash, claim.narinfo.nar_hash), publication)
    if publication.submission_digest == claim.submission.digest:
        # It is this very submission's own publication, made before a crash or a lost answer (docs/adr/0021).
        return committed(publication)
    return Outcome(Duplicate(), publication)


def compare_upstream(claim: Claim, upstream: UpstreamNarInfo) -> Outcome:
    """Return the outcome of ``claim`` where a trusted upstream has its store path."""
    if not _are_the_same(claim.narinfo, upstream.narinfo):
        return Outcome(Conflict(upstream.narinfo.nar_hash, claim.narinfo.nar_hash, Against.UPSTREAM))
    return Outcome(Duplicate(upstream.url))


def _are_the_same(one: NarInfo, other: NarInfo) -> bool:
    return one.fingerprint() == other.fingerprint() and not _contradict(one.ca, other.ca)


def _contradict(one: ContentAddress | None, other: ContentAddress | None) -> bool:
    """An address that is absent contradicts none: verifying leaves out, and fills in, addresses (docs/adr/0043)."""
    return one is not None and other is not None and one != other
