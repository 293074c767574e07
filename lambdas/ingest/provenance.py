"""Provenance: an in-toto statement, version 1, about where a published store object came from. It holds no secret."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from lambdas.ingest.submission import Submission
from nixcache.errors import Code
from nixcache.narinfo import NarInfo
from nixcache.verify import Policy
from protocol.results import warnings_document
from protocol.settings import ReferencePolicy
from protocol.verdicts import PublicationWarning, ServiceCode

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:assay:publication:v1"
MEDIA_TYPE: Final = "application/vnd.in-toto+json"

_CHECKS: Final = ("file-hash-and-size", "nar-hash-and-size", "nar-well-formed", "references-present")
_NOT_FOUND: Final = Code.REFERENCE_NOT_FOUND.value
_UNDECLARED: Final = ServiceCode.REFERENCE_UNDECLARED.value


def render(
    narinfo: NarInfo,
    submission: Submission,
    warnings: Sequence[PublicationWarning],
    policy: ReferencePolicy,
    *,
    at: datetime,
) -> bytes:
    """Return the statement about ``narinfo``, as it was published for ``submission`` under ``policy``."""
    warned_of = {warning.code for warning in warnings}
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
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {
                "name": narinfo.store_dir.render(narinfo.store_path),
                "digest": {narinfo.nar_hash.algorithm.value: narinfo.nar_hash.hex},
            }
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "builder": str(submission.builder),
            "submission": {"key": str(submission.key), "versionId": submission.version_id},
            "narSize": narinfo.nar_size,
            "references": [reference.base_name for reference in narinfo.references],
            "contentAddress": str(narinfo.ca) if narinfo.ca else None,
            "checks": [*_CHECKS, *held, *(["content-address"] if narinfo.ca else [])],
            "policy": in_force,
            "warnings": warnings_document(warnings),
            "signedBy": [signature.key_name for signature in narinfo.signatures],
            "at": at.astimezone(UTC).isoformat(timespec="milliseconds"),
        },
    }
    return json.dumps(statement, indent=1).encode() + b"\n"
