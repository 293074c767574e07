"""Provenance: what is attested of a published store object. It holds no secret.

It is read again where somebody contradicts the publication, for it alone says whose that was.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

from lambdas.ingest.quorum import Agreement
from lambdas.ingest.submission import Submission
from nixcache.dsse import Envelope
from nixcache.errors import AssayError, Code, TransientError
from nixcache.narinfo import NarInfo
from nixcache.statement import PREDICATE_TYPE, Statement
from nixcache.store_path import StorePath
from nixcache.strict_json import Json
from nixcache.verify import Policy
from protocol.keys import StagingNarInfoKey
from protocol.results import Result, read_warnings, warnings_document
from protocol.settings import ReferencePolicy
from protocol.verdicts import Published, ServiceCode
from protocol.version import VERSION

_CHECKS: Final = ("file-hash-and-size", "nar-hash-and-size", "nar-well-formed", "references-present")
_NOT_FOUND: Final = Code.REFERENCE_NOT_FOUND.value
_UNDECLARED: Final = ServiceCode.REFERENCE_UNDECLARED.value


def state(
    narinfo: NarInfo,
    submission: Submission,
    published: Published,
    agreement: Agreement,
    policy: ReferencePolicy,
    *,
    at: datetime,
) -> Statement:
    """Return the statement about ``narinfo``, ``published`` for ``submission`` under ``policy`` with ``agreement``."""
    warned_of = {warning.code for warning in published.warnings}
    # What was warned of was not rejected, even if a crash let another policy be deployed before this is written.
    in_force = {
        code: Policy.WARN if code in warned_of else configured
        for code, configured in ((_NOT_FOUND, policy.not_found), (_UNDECLARED, policy.undeclared))
    }
    held = [
        check
        for check, code in (("references-mentioned", _NOT_FOUND), ("mentions-in-closure", _UNDECLARED))
        if code not in warned_of
    ]
    return Statement(
        store_dir=narinfo.store_dir,
        store_path=narinfo.store_path,
        nar_hash=narinfo.nar_hash,
        predicate_type=PREDICATE_TYPE,
        predicate={
            "builder": str(submission.builder),
            "submission": _submission(submission),
            "quorum": _quorum(agreement),
            "narSize": narinfo.nar_size,
            "references": [reference.base_name for reference in narinfo.references],
            "contentAddress": str(narinfo.ca) if narinfo.ca else None,
            "checks": [*_CHECKS, *held, *(["content-address"] if narinfo.ca else [])],
            "policy": in_force,
            "warnings": warnings_document(published.warnings),
            "signedBy": list(published.signed_by),
            "serviceVersion": VERSION,
            "at": _time(at),
        },
    )


def publication(envelope: bytes, path: StorePath) -> Result:
    """Return the result of whoever published ``path``, as ``envelope``, its provenance in the ledger, tells it.

    Raises :class:`TransientError` for what ingest did not write.
    """
    try:
        predicate = json.loads(Envelope.from_json(envelope).payload)["predicate"]
        return Result(
            submission=StagingNarInfoKey.parse(predicate["submission"]["key"]),
            version_id=str(predicate["submission"]["versionId"]),
            store_path=path,
            verdict=Published(tuple(map(str, predicate["signedBy"])), read_warnings(predicate["warnings"])),
            at=datetime.fromisoformat(predicate["at"]),
        )
    # RecursionError: what json raises for a document nested a thousand levels deep.
    except (AssayError, ValueError, KeyError, TypeError, RecursionError) as error:
        # Ingest alone writes there: no submission may be blamed for it.
        raise TransientError(f"The provenance of {path.base_name} cannot be read: {error!r}") from error


def _submission(submission: Submission) -> dict[str, str | None]:
    return {"key": str(submission.key), "versionId": submission.version_id}


def _quorum(agreement: Agreement) -> dict[str, Json] | None:
    if agreement.need == 1:
        return None
    return {
        "need": agreement.need,
        "votes": [
            {
                "builder": str(counted.vote.key.builder),
                "trustGroup": counted.trust_group,
                "submission": _submission(counted.vote.submission),
                "at": _time(counted.vote.at),
            }
            for counted in agreement.votes
        ],
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
