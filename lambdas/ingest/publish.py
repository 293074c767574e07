"""*Sign* and *publish*: the NAR, then the narinfo, which is the commit point, then what only a winner may write."""

from __future__ import annotations

from collections.abc import Collection

from lambdas.ingest.claim import Claim
from lambdas.ingest.deadline import Turn
from lambdas.ingest.kept_signatures import kept_signatures
from lambdas.ingest.outcome import Outcome, committed, compare
from lambdas.ingest.ports import Cache, Ledger, PinnedNar, PublishedNarInfo, SigningKeys
from lambdas.ingest.quorum import Agreement
from lambdas.ingest.withdrawal import WithdrawalGuard
from nixcache.errors import Code, PermanentError, TransientError
from nixcache.narinfo import MAX_NARINFO_SIZE
from nixcache.signature import PublicKey
from nixcache.verify import Limits, Policy, VerifiedStoreObject, verify
from protocol.keys import NarFile
from protocol.verdicts import PublicationWarning, Published, ServiceCode


class Publisher:
    """Writes to the cache. All that it writes comes from verified values; no text of a builder's does (I5)."""

    def __init__(
        self,
        cache: Cache,
        ledger: Ledger,
        signing_keys: SigningKeys,
        upstream_keys: Collection[PublicKey],
        withdrawal_guard: WithdrawalGuard,
    ) -> None:
        """Sign with what ``signing_keys`` gives, keep signatures under ``upstream_keys``; write to ``cache``.

        What ``withdrawal_guard`` refuses is not written.
        """
        self._cache = cache
        self._ledger = ledger
        self._signing_keys = signing_keys
        self._upstream_keys = upstream_keys
        self._withdrawal_guard = withdrawal_guard

    def refuse_withdrawn(self, claim: Claim) -> None:
        """Raise :class:`PermanentError` (``withdrawn``) for what :meth:`publish` would refuse at its end."""
        self._withdrawal_guard.refuse(claim.narinfo.store_path, claim.narinfo.nar_hash)

    def publish(
        self,
        claim: Claim,
        verified: VerifiedStoreObject,
        nar: PinnedNar,
        warnings: tuple[PublicationWarning, ...],
        agreement: Agreement,
    ) -> Outcome:
        """Make ``verified`` visible, unless somebody else was faster; ``nar`` is what it was read from (I2).

        Raises :class:`PermanentError`: ``nar-missing`` when that version was deleted meanwhile, ``withdrawn``.
        """
        ours = tuple(key.sign(verified) for key in self._signing_keys.signing())
        our_names = {signature.key_name for signature in ours}
        theirs = kept_signatures(verified.narinfo(claim.narinfo.signatures), self._upstream_keys)
        # One of our own keys' names would be taken for ours by whoever trusts that.
        narinfo = verified.narinfo((*ours, *(kept for kept in theirs if kept.key_name not in our_names)))
        if len(narinfo.render()) > MAX_NARINFO_SIZE:
            # Ours is a little longer than the builder's, and whoever looks this path up reads no more than the limit.
            raise PermanentError(
                Code.TOO_LARGE, "The narinfo has no room for a signature.", remedy="Reference fewer paths.", field="Sig"
            )
        self._cache.ensure_cache_info()
        file = NarFile.of(verified.file_hash, verified.compression)
        if not self._cache.copy_nar(nar, file):
            raise nar_missing(nar.key.file)
        # As late as it can be: what is asked before the copy may be minutes old at the commit.
        self._withdrawal_guard.last_look(verified.store_path, verified.nar_hash, verified.references)
        is_listed = verified.listing is not None
        publication = PublishedNarInfo(narinfo, claim.submission.digest, is_listed, warnings)
        if self._cache.commit(publication):
            outcome = committed(publication, agreement)
        else:
            published = self._cache.find(claim.hash_part)
            if published is None:
                raise TransientError(f"{claim.hash_part}.narinfo was in the way and is gone again.")
            if published.narinfo.url != file.url:
                self._ledger.list_orphan(file)
            outcome = compare(claim, published)
        if isinstance(outcome.verdict, Published):
            # Not before the commit: a listing has no condition to lose by, and the loser of a race, with other
            # contents, would leave its own beside the winner's narinfo (docs/adr/0020).
            self._put_listing(verified)
        return outcome

    def complete(self, published: PublishedNarInfo, turn: Turn) -> None:
        """Write the listing that a crash right after the commit left out, from the published NAR itself."""
        narinfo = published.narinfo
        if not published.is_listed or self._cache.has_listing(narinfo.store_path.hash_part):
            return
        # It is published: nothing of the operator's limits and policies is left to be asked.
        limits = Limits(max_nar_size=narinfo.nar_size, max_expansion=narinfo.nar_size)
        try:
            with self._cache.nar(NarFile.parse_url(narinfo.url)) as chunks:
                verified = verify(narinfo, chunks, limits=limits, reference_not_found=Policy.WARN, pulse=turn.going_on)
            self._put_listing(verified)
        except PermanentError as error:
            # Not the submission's fault, whatever it is: it must not be told so.
            raise TransientError(f"The published {narinfo.store_path.base_name} does not verify: {error}") from error

    def _put_listing(self, verified: VerifiedStoreObject) -> None:
        if verified.listing is not None:
            self._cache.put_listing(verified.store_path.hash_part, verified.listing)


def nar_missing(file: NarFile) -> PermanentError:
    """Return the error for a submission whose NAR is not in staging."""
    return PermanentError(
        ServiceCode.NAR_MISSING,
        f"{file.url} is not in the staging bucket.",
        remedy="Upload the NAR first, and its narinfo after it.",
        field="URL",
    )
