"""What the operator lets a builder submit, as the deployment's policy says."""

from __future__ import annotations

from dataclasses import replace

from lambdas.ingest.claim import Claim
from nixcache.errors import PermanentError
from nixcache.verify import Limits, VerifiedStoreObject
from protocol.policy import SubmissionPolicy
from protocol.verdicts import ServiceCode


def allow(claim: Claim, policy: SubmissionPolicy, limits: Limits) -> Limits:
    """Return the limits that hold for ``claim``'s builder, and for ``claim``, where the deployment's are ``limits``.

    Raises :class:`PermanentError` (``not-allowed``, ``too-large``) with the field that ``policy`` does not let pass.
    """
    rules = policy.rules(claim.submission.builder)
    if rules is None:
        # Its role is gone, or never was: whoever wrote there had somebody else's rights.
        raise _not_allowed(None, "submit anything: the deployment has no builder of this name", "Ask the operator.")
    path, compression = claim.narinfo.store_path, claim.narinfo.compression
    if not rules.allows_name(path):
        raise _not_allowed("StorePath", f"submit {path.name}", "Have another builder build it.")
    if compression not in rules.compressions:
        allowed = ", ".join(sorted(method.value for method in rules.compressions))
        raise _not_allowed("Compression", f"compress with {compression.value}", f"Use one of: {allowed}.")
    if not rules.input_addressed and not claim.is_content_addressed:
        raise _not_allowed("CA", "submit input-addressed paths", "Submit paths whose narinfo has a CA.")
    limits = replace(limits, max_nar_size=min(limits.max_nar_size, rules.max_nar_size))
    limits.check_nar_size(claim.narinfo.nar_size)
    if claim.narinfo.file_size is not None:
        limits.check_file_size(claim.narinfo.file_size, claim.narinfo.nar_size)
    return limits


def allow_proven(claim: Claim, verified: VerifiedStoreObject, policy: SubmissionPolicy) -> None:
    """Raise :class:`PermanentError` (``not-allowed``) where a content address had to prove the path, and does not.

    One that clients disagree on is proven of several contents, and is not published (docs/adr/0043).
    """
    rules = policy.rules(claim.submission.builder)
    if verified.ca is None and (rules is None or not rules.input_addressed):
        raise _not_allowed(
            "CA", "submit paths that mention themselves, whose content address proves too little", "Ask the operator."
        )


def _not_allowed(field: str | None, what: str, remedy: str) -> PermanentError:
    return PermanentError(
        ServiceCode.NOT_ALLOWED, f"The operator's policy does not let this builder {what}.", remedy=remedy, field=field
    )
