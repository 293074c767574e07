"""Provenance: an in-toto statement, version 1, about where a published store object came from. It holds no secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

from lambdas.ingest.submission import Submission
from nixcache.narinfo import NarInfo

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:assay:publication:v1"
MEDIA_TYPE: Final = "application/vnd.in-toto+json"

_CHECKS: Final = (
    "file-hash-and-size",
    "nar-hash-and-size",
    "nar-well-formed",
    "references-mentioned",
    "references-present",
)


def render(narinfo: NarInfo, submission: Submission, *, at: datetime) -> bytes:
    """Return the statement about ``narinfo``, as it was published for ``submission``."""
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
            "checks": [*_CHECKS, *(["content-address"] if narinfo.ca else [])],
            "signedBy": [signature.key_name for signature in narinfo.signatures],
            "at": at.astimezone(UTC).isoformat(timespec="milliseconds"),
        },
    }
    return json.dumps(statement, indent=1).encode() + b"\n"
