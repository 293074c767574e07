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
from lambdas.ingest.submission import Submission
from nixcache.errors import TransientError
from protocol.delivery import MESSAGE_RETENTION
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

    def attest(self, submission: Submission, publication: PublishedNarInfo, agreement: Agreement | None = None) -> bool:
        """Write that ``publication`` came from ``submission``, and who agreed, unless it is written.

        Return whether it was the first to be written there: then nobody has announced that he waits for the path.
        """
        hash_part = publication.narinfo.store_path.hash_part
        statement = provenance.state(
            publication.narinfo,
            submission,
            published(publication),
            agreement or self._quorum.agreed(submission, publication.narinfo),
            self._references,
            at=self._now(),
        )
        attested = [key.attest(statement) for key in self._signing_keys.signing()]
        envelope = replace(
            attested[0], signatures=tuple(signature for each in attested for signature in each.signatures)
        )

        return self._ledger.put_provenance(
            hash_part, envelope.to_json(), replaces=lambda kept: not _is_about(kept, publication)
        )

    def make_up(self, submission: Submission, publication: PublishedNarInfo) -> None:
        """Write the provenance that a crash left out, if ``submission`` was published, in this or an older version.

        A wake-up that comes again names no version, and the builder may have replaced what it published before.
        """
        kept = self._ledger.provenance(submission.hash_part)
        if kept is not None and _is_about(kept, publication):
            return
        for version_id in (submission.version_id, *self._staging.versions(submission.key)):
            version = replace(submission, version_id=version_id)
            if version.digest == publication.submission_digest:
                self.attest(version, publication)
                return

    def publisher(self, claim: Claim, publication: PublishedNarInfo) -> Result | None:
        """Return the result of whoever published what is in ``claim``'s way; None if nobody will ever know.

        Raises :class:`TransientError` as long as it is not known.
        """
        if publication.submission_digest is None:
            return None  # the operator put it there
        envelope = self._ledger.provenance(claim.hash_part)
        if envelope is None or not _is_about(envelope, publication):
            if publication.stored_at is not None and self._now() - publication.stored_at > MESSAGE_RETENTION:
                return None  # nobody will write it any more
            # Its publisher is about to write it, or has crashed and will come again.
            raise TransientError(f"Nobody knows yet who published {claim.hash_part}.", remedy="It is tried again.")
        return provenance.publication(envelope, publication.narinfo.store_path)


def _is_about(kept: bytes, publication: PublishedNarInfo) -> bool:
    """Tell whether the provenance ``kept`` is of ``publication``.

    It is not where the path was published before, and withdrawn, or where nobody of ours wrote it.
    """
    try:
        result = provenance.publication(kept, publication.narinfo.store_path)
    except TransientError:
        return False
    return Submission(result.submission, result.version_id).digest == publication.submission_digest
