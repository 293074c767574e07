"""Whether an operator has taken out what is about to be published (docs/adr/0070)."""

from __future__ import annotations

from collections.abc import Sequence

from lambdas.ingest.lookup import Lookup, at_once
from lambdas.ingest.ports import Withdrawals
from nixcache.errors import PermanentError, TransientError
from nixcache.hashes import Hash
from nixcache.store_path import StorePath
from protocol.verdicts import ServiceCode


class WithdrawalGuard:
    """Keeps out what was taken out. It asks of lists that are kept: without a withdrawal it costs no request a path."""

    def __init__(self, withdrawals: Withdrawals, lookup: Lookup) -> None:
        """Go by ``withdrawals``; look references up by ``lookup``, which remembers nothing."""
        self._withdrawals = withdrawals
        self._lookup = lookup

    def refuse(self, path: StorePath, nar_hash: Hash) -> None:
        """Raise :class:`PermanentError` (``withdrawn``) for an object that must not be published."""
        if self._withdrawals.current().refuses(path.hash_part, nar_hash):
            raise PermanentError(
                ServiceCode.WITHDRAWN,
                f"The operator took this object out of the cache: {path.base_name} with the NarHash {nar_hash}.",
                remedy="Delete it from your store and build it anew; if it is right, ask the operator to readmit it.",
                field="NarHash",
            )

    def last_look(self, path: StorePath, nar_hash: Hash, references: Sequence[StorePath]) -> None:
        """Refuse once more, right before the commit, what was withdrawn while it was verified: that takes minutes.

        Raises :class:`TransientError` where one of ``references`` was taken out meanwhile, which the gate may have seen
        before, and remember: then the submission comes again, and waits (I4).
        """
        self.refuse(path, nar_hash)
        withdrawn = self._withdrawals.current()
        doubtful = [reference for reference in references if reference != path and withdrawn.names(reference.hash_part)]
        if not doubtful:
            return
        for reference, answer in zip(doubtful, at_once(self._lookup.find, doubtful), strict=True):
            if answer.references is None:
                raise TransientError(
                    f"{reference.base_name}, a reference of {path.base_name}, was withdrawn.", remedy="It waits for it."
                )
