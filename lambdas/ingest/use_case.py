"""The way of a submission: load → judge → tell."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from lambdas.ingest.claim import read_claim
from lambdas.ingest.deadline import Turn
from lambdas.ingest.events import Misnamed
from lambdas.ingest.judge import Judge
from lambdas.ingest.ports import Staging
from lambdas.ingest.submission import Submission
from lambdas.ingest.teller import Teller
from nixcache import nix32
from nixcache.errors import PermanentError
from nixcache.store_path import StoreDir, parse_hash_part
from protocol.keys import KeyCode, StagingNarInfoKey
from protocol.verdicts import Rejected, ServiceCode


class Ingest:
    """Judges submissions, any number of times and in any order: the same ones end in the same state (I6)."""

    def __init__(self, *, staging: Staging, judge: Judge, teller: Teller, store_dir: StoreDir) -> None:
        """Load from ``staging``, for a cache of ``store_dir``."""
        self._staging = staging
        self._judge = judge
        self._teller = teller
        self._store_dir = store_dir

    def judge(self, submission: Submission, turn: Turn) -> None:
        """Take ``submission`` as far as it goes in its ``turn``, and tell all.

        Raises :class:`TransientError` to be called again.
        """
        store_path = staged = None
        try:
            staged = self._staging.narinfo(submission.key, submission.version_id)
            if staged is None:
                raise _narinfo_missing(submission)
            submission = replace(submission, version_id=staged.version_id)
            claim = read_claim(submission, staged, self._store_dir)
            store_path = claim.narinfo.store_path
            outcome = self._judge.judge(
                claim, turn, lambda verdict: self._teller.record(claim.submission, store_path, verdict)
            )
        except PermanentError as error:
            if staged is None or submission.is_woken:
                self._make_up(submission, turn)
            self._teller.reject(submission, store_path, Rejected.because(error))
        else:
            self._teller.tell(claim, outcome, turn)

    def _make_up(self, submission: Submission, turn: Turn) -> None:
        """Fill the gaps of a publication after which ingest died: what it was made from is gone, or replaced."""
        publication = self._judge.published(submission.hash_part, turn)
        if publication is not None:
            self._teller.make_up(submission, publication, turn)

    def refuse(self, misnamed: Misnamed) -> None:
        """Tell the builder that a ``.narinfo`` lies where no submission can be."""
        error = PermanentError(
            KeyCode.OBJECT_KEY_MALFORMED,
            f"{misnamed.key[:300]!r} is not the key of a submission.",
            remedy="Upload a narinfo as <builder>/<hash part>.narinfo.",
        )
        # A result's name needs a hash part and this key has none, so it gets one that its builder can compute.
        hash_part = parse_hash_part(
            nix32.encode(hashlib.sha256(misnamed.key.encode(errors="surrogatepass")).digest()[:20])
        )
        submission = Submission(StagingNarInfoKey(misnamed.builder, hash_part), misnamed.version_id)
        self._teller.reject(submission, None, Rejected.because(error))


def _narinfo_missing(submission: Submission) -> PermanentError:
    return PermanentError(
        ServiceCode.NARINFO_MISSING,
        f"{submission.key} is not in the staging bucket any more.",
        remedy="Submit the path again.",
    )
