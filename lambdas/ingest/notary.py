"""Who published what: attested once, when it is published, and asked for where somebody contradicts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from lambdas.ingest import provenance
from lambdas.ingest.claim import Claim
from lambdas.ingest.outcome import published
from lambdas.ingest.ports import Ledger, PublishedNarInfo, SigningKeys, Staging
from lambdas.ingest.quorum import Agreement, Quorum
from nixcache.errors import TransientError
from protocol.results import Result
from protocol.settings import ReferencePolicy


class Notary:
    """Writes provenance, signed with the cache's key, and reads it."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        staging: Staging,
        signing_keys: SigningKeys,
        quorum: Quorum,
        references: ReferencePolicy,
        now: Callable[[], datetime],
    ) -> None:
        """Sign with what ``signing_keys`` gives; ``references`` is the policy that a statement names."""
        self._ledger = ledger
        self._staging = staging
        self._signing_keys = signing_keys
        self._quorum = quorum
        self._references = references
        self._now = now

    def attest(self, claim: Claim, publication: PublishedNarInfo, agreement: Agreement | None = None) -> bool:
        """Write that ``publication`` came from ``claim``, and who agreed, unless it is written.

        Return whether it was the first to be written there: then nobody has announced that he waits for the path.
        """
        statement = provenance.state(
            publication.narinfo,
            claim.submission,
            published(publication),
            agreement or self._quorum.agreed(claim),
            self._references,
            at=self._now(),
        )
        envelope = self._signing_keys.current().attest(statement)
        return self._ledger.put_provenance(claim.hash_part, envelope.to_json())

    def make_up_for_older_version(self, claim: Claim, publication: PublishedNarInfo) -> None:
        """Write the provenance that a crash left out, if an older version of ``claim``'s submission was published.

        It was woken, and its wake-up comes again; but that names no version, and the builder has replaced it.
        """
        if self._ledger.provenance(claim.hash_part) is not None:
            return
        for version_id in self._staging.versions(claim.submission.key):
            older = replace(claim, submission=replace(claim.submission, version_id=version_id))
            if older.submission.digest == publication.submission_digest:
                self.attest(older, publication)

    def publisher(self, claim: Claim, publication: PublishedNarInfo) -> Result | None:
        """Return the result of whoever published what is in ``claim``'s way; None if nobody submitted it.

        Raises :class:`TransientError` as long as it is not known.
        """
        if publication.submission_digest is None:
            return None  # the operator put it there
        envelope = self._ledger.provenance(claim.hash_part)
        if envelope is None:
            # Its publisher is about to write it, or has crashed and will come again.
            raise TransientError(f"Nobody knows yet who published {claim.hash_part}.", remedy="It is tried again.")
        return provenance.publication(envelope, publication.narinfo.store_path)
