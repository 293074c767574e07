"""One narinfo: look what it bears, prove it as far as is asked for, sign, and write it if nobody else has meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from lambdas.ingest.deadline import Turn
from lambdas.resign.key_ring import KeyRing
from lambdas.resign.narinfos import S3NarInfos, Stored
from lambdas.resign.request import Mode, Request
from lambdas.resign.vouching import LedgerProvenance
from nixcache.countersign import countersignable
from nixcache.errors import PermanentError, TransientError
from nixcache.narinfo import MAX_NARINFO_SIZE, MAX_SIGNATURES, NarInfo
from nixcache.signature import Signature
from nixcache.store_path import StoreDir
from nixcache.verify import Limits, Policy, verify
from protocol.keys import CacheNarInfoKey, NarFile

ATTEMPTS: Final = 5
"""Nobody but another run of this writes over a narinfo: who loses so often has met something else."""


class Outcome(StrEnum):
    """What became of a narinfo."""

    SIGNED = "signed"
    UNCHANGED = "unchanged"
    """It bears what it should."""
    GONE = "gone"
    """Somebody has unpublished it since it was listed."""
    NOT_SIGNED = "not-signed"


class Reason(StrEnum):
    """Why one was left as it is, unsigned; beside :class:`nixcache.errors.Code` for one that could not be proven."""

    NOT_OURS = "not-ours"
    """Its text is not what Assay writes: something beside the signatures would change."""
    UNTRUSTED = "untrusted"
    """No signature by a key that is still trusted."""
    WRONG_KEY = "wrong-key"
    """It is about another store path than the key that it lies under."""
    NO_PROVENANCE = "no-provenance"
    """The ledger does not say that ingest published it: its bytes may be consistent, but nobody vouches for them."""
    NAR_MISSING = "nar-missing"
    DIFFERENT = "different"
    """The bytes prove something else than it says."""
    TOO_LARGE = "too-large"
    """There is no room for one more signature."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one ended; ``reason`` and ``problem``, a sentence, only with :attr:`Outcome.NOT_SIGNED`."""

    outcome: Outcome
    reason: str | None = None
    problem: str | None = None


class _LeftAloneError(Exception):
    """This narinfo cannot be signed."""

    def __init__(self, reason: str, problem: str) -> None:
        super().__init__(problem)
        self.ending = Ending(Outcome.NOT_SIGNED, reason, problem)


class Resigner:
    """Works for one request. Any number of threads may call it; one NAR is read at a time (I7)."""

    def __init__(
        self,
        narinfos: S3NarInfos,
        provenance: LedgerProvenance,
        ring: KeyRing,
        request: Request,
        store_dir: StoreDir,
        turn: Turn,
    ) -> None:
        """Sign with ``ring``'s key what ``request`` asks for, in the ``turn`` that the invocation has."""
        self._narinfos = narinfos
        self._provenance = provenance
        self._ring = ring
        self._request = request
        self._store_dir = store_dir
        self._turn = turn
        self._reading = threading.Lock()

    def resign(self, key: CacheNarInfoKey) -> Ending:
        """Do what is left to do for ``key``; raises :class:`TransientError`, and then it is as it was.

        It may have been written all the same if S3's answer got lost: the next call finds it done.
        """
        for _ in range(ATTEMPTS):
            self._turn.going_on()
            stored = self._narinfos.read(key)
            if stored is None:
                return Ending(Outcome.GONE)
            try:
                data = self._signed(key, stored)
            except _LeftAloneError as error:
                return error.ending
            if data is None:
                return Ending(Outcome.UNCHANGED)
            if self._narinfos.replace(key, stored, data):
                return Ending(Outcome.SIGNED)
        raise TransientError(f"{key} was written by others {ATTEMPTS} times.", remedy="It is tried again.")

    def _signed(self, key: CacheNarInfoKey, stored: Stored) -> bytes | None:
        """Return the text with the signatures that it should bear; None if it has them."""
        try:
            narinfo = NarInfo.parse(stored.data, self._store_dir)
        except PermanentError as error:
            raise _LeftAloneError(error.code, str(error)) from None
        if narinfo.render() != stored.data:
            raise _LeftAloneError(Reason.NOT_OURS, "It is not as Assay would write it.")
        if narinfo.store_path.hash_part != key.hash_part:
            # Signed as it is, it would be a true narinfo in the wrong place, and clients take its word.
            raise _LeftAloneError(Reason.WRONG_KEY, f"It is about {narinfo.store_path.base_name}.")
        current = self._ring.current
        is_tainted = any(signature.key_name in self._request.revoked for signature in narinfo.signatures)
        if not is_tainted and narinfo.is_signed_by(current.public_key):
            return None
        ours = self._prove(narinfo, is_tainted=is_tainted)
        # What else lies there under the key's name does not hold, and a client may look at that one alone.
        dropped = self._request.revoked | {current.name}
        kept = (signature for signature in narinfo.signatures if signature.key_name not in dropped)
        signatures = (ours, *kept)
        data = replace(narinfo, signatures=signatures).render()
        if len(signatures) > MAX_SIGNATURES or len(data) > MAX_NARINFO_SIZE:
            raise _LeftAloneError(Reason.TOO_LARGE, "It has no room for a signature.")
        return data

    def _prove(self, narinfo: NarInfo, *, is_tainted: bool) -> Signature:
        # Beside a leaked key's signature another one proves nothing: it may have been added to that one since the leak.
        if not is_tainted:
            vouched = countersignable(narinfo, self._ring.trusted)
            if vouched is not None:
                return self._ring.current.countersign(vouched)
        if self._request.mode is Mode.ADD:
            raise _LeftAloneError(Reason.UNTRUSTED, "No signature of a key that is still trusted holds.")
        # A proof of bytes is none of where they come from: anybody can make a path that is consistent in itself.
        if not self._provenance.attests(narinfo):
            raise _LeftAloneError(Reason.NO_PROVENANCE, "The ledger does not say that it was published as it is.")
        with self._reading:
            return self._verify(narinfo, self._turn.verification())

    def _verify(self, narinfo: NarInfo, pulse: Callable[[], None]) -> Signature:
        # It is published: nothing of the operator's limits and policies is left to be asked.
        limits = Limits(max_nar_size=narinfo.nar_size, max_expansion=narinfo.nar_size)
        try:
            with self._narinfos.nar(NarFile.parse_url(narinfo.url)) as chunks:
                if chunks is None:
                    raise _LeftAloneError(Reason.NAR_MISSING, f"{narinfo.url} is not in the cache.")
                verified = verify(narinfo, chunks, limits=limits, reference_not_found=Policy.WARN, pulse=pulse)
        except PermanentError as error:
            raise _LeftAloneError(error.code, str(error)) from None
        if verified.narinfo(narinfo.signatures) != narinfo:
            raise _LeftAloneError(Reason.DIFFERENT, "What its NAR proves is not what it says.")
        return self._ring.current.sign(verified)
