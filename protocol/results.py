"""Result documents: the newest verdict of a submission, in the ledger at ``results/<builder>/<hash part>.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from nixcache.errors import PermanentError
from nixcache.hashes import Hash
from nixcache.store_path import StorePath, parse_hash_part
from nixcache.strict_json import Json
from protocol.keys import BuilderName, StagingNarInfoKey
from protocol.verdicts import (
    Against,
    AwaitingQuorum,
    Conflict,
    Duplicate,
    Kind,
    PublicationWarning,
    Published,
    Rejected,
    Verdict,
    Waiting,
)

SCHEMA: Final = 1
"""Raised when a reader of the old schema would misunderstand the new one; new fields alone do not raise it."""
MAX_DISPUTES: Final = 8
"""NAR hashes of others' that one result lists: the first ones. One is enough to look into it."""


class ResultCode(StrEnum):
    """What can be wrong with a result document."""

    RESULT_MALFORMED = "result-malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The verdict on one version of one narinfo in staging.

    ``store_path`` is None where the narinfo could not be read; ``at`` is in UTC. ``disputed_by`` are NAR hashes that
    others have submitted for the same store path, :data:`MAX_DISPUTES` at most, each once.
    """

    submission: StagingNarInfoKey
    version_id: str
    store_path: StorePath | None
    verdict: Verdict
    at: datetime
    disputed_by: tuple[Hash, ...] = ()

    def to_json(self) -> bytes:
        """Return the document."""
        document = {
            "schema": SCHEMA,
            "builder": str(self.submission.builder),
            "hashPart": self.submission.hash_part,
            "versionId": self.version_id,
            "storePath": self.store_path.base_name if self.store_path else None,
            "at": self.at.astimezone(UTC).isoformat(timespec="milliseconds"),
            "verdict": self.verdict.kind.value,
            **_details(self.verdict),
            "disputedBy": list(map(str, self.disputed_by)),
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Result:
        """Read a document; raises :class:`PermanentError` (``result-malformed``, or what a value in it raises)."""
        try:
            document = json.loads(data)
            if document["schema"] != SCHEMA:
                raise PermanentError(
                    ResultCode.RESULT_MALFORMED,
                    f"The result has schema {document['schema']!r}, this program reads {SCHEMA}.",
                    remedy="Update Assay on this machine.",
                    field="schema",
                )
            store_path = _optional_text(document["storePath"])
            return cls(
                submission=StagingNarInfoKey(
                    BuilderName(_text(document["builder"])), parse_hash_part(_text(document["hashPart"]))
                ),
                version_id=_text(document["versionId"]),
                store_path=None if store_path is None else StorePath.from_base_name(store_path),
                verdict=_verdict(document),
                at=_time(_text(document["at"])),
                disputed_by=tuple(Hash.parse(_text(text)) for text in _items(document["disputedBy"])),
            )
        # RecursionError: what json raises for a document nested a thousand levels deep.
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise PermanentError(
                ResultCode.RESULT_MALFORMED,
                f"The result document cannot be read: {error!r}.",
                remedy="Check that ledger bucket and builder belong to an Assay deployment.",
            ) from error


def warnings_document(warnings: Sequence[PublicationWarning]) -> list[dict[str, Json]]:
    """Return how documents list ``warnings``."""
    return [
        {"code": warning.code, "problem": warning.problem, "paths": [path.base_name for path in warning.paths]}
        for warning in warnings
    ]


def metadata_text(document: str) -> str:
    """Return a JSON document as the metadata of an S3 object carries it, meaning the same.

    S3 decodes RFC 2047's encoded words in metadata, and a store path's name may be one: ``=?UTF-8?Q?=22?=``.
    """
    return document.replace("=?", "\\u003d?")


def read_warnings(document: object) -> tuple[PublicationWarning, ...]:
    """Read what :func:`warnings_document` returns; raises TypeError, KeyError or :class:`PermanentError`."""
    return tuple(
        PublicationWarning(_text(item["code"]), _text(item["problem"]), _paths(item["paths"]))
        for item in map(_object, _items(document))
    )


def _details(verdict: Verdict) -> dict[str, Any]:
    match verdict:
        case Published(signed_by=signed_by, warnings=warnings):
            return {"signedBy": list(signed_by), "warnings": warnings_document(warnings)}
        case Duplicate(upstream=upstream):
            return {"upstream": upstream}
        case Waiting(missing=missing):
            return {"missing": [path.base_name for path in missing]}
        case AwaitingQuorum(have=have, need=need):
            return {"have": have, "need": need}
        case Conflict(other_nar_hash=other, submitted_nar_hash=submitted, against=against):
            return {"otherNarHash": str(other), "submittedNarHash": str(submitted), "against": against.value}
        case Rejected():
            return asdict(verdict)


def _verdict(document: dict[str, Any]) -> Verdict:
    match Kind(document["verdict"]):
        case Kind.PUBLISHED:
            warnings = read_warnings(document["warnings"])
            return Published(tuple(map(_text, _items(document["signedBy"]))), warnings)
        case Kind.DUPLICATE:
            return Duplicate(_optional_text(document["upstream"]))
        case Kind.WAITING:
            return Waiting(_paths(document["missing"]))
        case Kind.AWAITING_QUORUM:
            return AwaitingQuorum(_integer(document["have"]), _integer(document["need"]))
        case Kind.CONFLICT:
            return Conflict(
                Hash.parse(_text(document["otherNarHash"])),
                Hash.parse(_text(document["submittedNarHash"])),
                Against(document["against"]),
            )
        case Kind.REJECTED:
            return Rejected(
                code=_text(document["code"]),
                problem=_text(document["problem"]),
                remedy=_text(document["remedy"]),
                field=_optional_text(document["field"]),
                offset=_optional_integer(document["offset"]),
            )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.100} is no text")
    value.encode()  # half of a surrogate pair is JSON, but nothing that can be stored or printed: a ValueError
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _integer(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r:.100} is no integer")
    return value


def _optional_integer(value: object) -> int | None:
    return None if value is None else _integer(value)


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.100} is no list")
    return value


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.100} is no object")
    return value


def _paths(value: object) -> tuple[StorePath, ...]:
    return tuple(StorePath.from_base_name(_text(name)) for name in _items(value))


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.utcoffset() != timedelta(0):
        raise ValueError(f"{text!r} is not in UTC")
    return time
