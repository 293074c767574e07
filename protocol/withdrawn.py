"""What an operator took out of the cache, and ingest must not publish again: one document in the ledger (ADR 0070).

Ingest reads it, an operator's command writes it, under the condition that nobody else has meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from nixcache.errors import PermanentError
from nixcache.hashes import Hash
from nixcache.store_path import HashPart, parse_hash_part
from protocol.fields import Fields

SCHEMA: Final = 1
"""Whoever does not know a document's schema may not go on as if nothing were withdrawn."""
MAX_SIZE: Final = 8 * 1024 * 1024
"""Bytes of a document, which ingest holds in memory (I7): some 60,000 entries, or 90,000 traces."""
KEPT_SECONDS: Final = 300.0
"""For how long ingest goes by what it has read. A leaf would cost a request more if it read for each."""
SETTLED: Final = timedelta(minutes=10)
"""After this long nothing is published against an entry: what was kept has ended, and so has the last commit that went
by it, with all that an AWS client repeats."""
TRACES_KEPT: Final = timedelta(days=1)
"""How long it matters that a path went only because of what it references."""


class WithdrawnCode(StrEnum):
    """What can be wrong with the document."""

    WITHDRAWN_MALFORMED = "withdrawn-malformed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One path that was taken out at ``at``, in UTC; it is not published again with ``nar_hash``.

    Without ``nar_hash`` it is a trace, and refuses nothing: the path went because of what it references, or nobody can
    read its narinfo. It says that whoever has seen the path lately has to look again.
    """

    hash_part: HashPart
    nar_hash: Hash | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The entries, by hash part and in order of time; no two of one hash part have one NAR hash."""

    entries: tuple[Entry, ...] = ()
    _of: dict[HashPart, frozenset[Hash | None]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make it quick to ask: each submission does."""
        of: dict[HashPart, frozenset[Hash | None]] = {}
        for entry in self.entries:
            of[entry.hash_part] = of.get(entry.hash_part, frozenset()) | {entry.nar_hash}
        object.__setattr__(self, "_of", of)

    def refused(self, hash_part: HashPart) -> frozenset[Hash]:
        """Return the NAR hashes with which the path is not published."""
        return frozenset(nar_hash for nar_hash in self._of.get(hash_part, ()) if nar_hash is not None)

    def refuses(self, hash_part: HashPart, nar_hash: Hash) -> bool:
        """Tell whether this object must not be published; another one of the same store path may."""
        return nar_hash in self._of.get(hash_part, ())

    def names(self, hash_part: HashPart) -> bool:
        """Tell whether the path was taken out, whatever may have come in its place."""
        return hash_part in self._of

    def adding(self, entries: Iterable[Entry]) -> Withdrawn:
        """Return these and ``entries``, without the traces that are too old to matter. What is there stays as it is."""
        added = tuple(entries)
        latest = max((entry.at for entry in added), default=None)
        kept = {
            (entry.hash_part, entry.nar_hash): entry
            for entry in self.entries
            if entry.nar_hash is not None or latest is None or latest - entry.at < TRACES_KEPT
        }
        for entry in added:
            before = kept.get((entry.hash_part, entry.nar_hash))
            if before is None or before.nar_hash is None:
                kept[entry.hash_part, entry.nar_hash] = entry
        return Withdrawn(tuple(kept.values()))

    def without(self, hash_parts: Collection[HashPart]) -> Withdrawn:
        """Return the entries of all other paths."""
        return Withdrawn(tuple(entry for entry in self.entries if entry.hash_part not in hash_parts))

    def readmitting(self, hash_part: HashPart, nar_hash: Hash | None) -> Withdrawn:
        """Return the entries without the one of this object, and without traces of its path."""
        return Withdrawn(
            tuple(
                entry
                for entry in self.entries
                if entry.hash_part != hash_part or entry.nar_hash not in (None, nar_hash)
            )
        )

    def to_json(self) -> bytes:
        """Return the document; raises :class:`PermanentError` when nobody would read one that is so large."""
        ordered = sorted(self.entries, key=lambda entry: (entry.at, entry.hash_part, str(entry.nar_hash)))
        document = {
            "schema": SCHEMA,
            "withdrawn": [
                {"hashPart": entry.hash_part, "narHash": str(entry.nar_hash), "at": _time(entry.at)}
                for entry in ordered
                if entry.nar_hash is not None
            ],
            "traces": [
                {"hashPart": entry.hash_part, "at": _time(entry.at)} for entry in ordered if entry.nar_hash is None
            ],
        }
        data = json.dumps(document, indent=0).encode() + b"\n"
        if len(data) > MAX_SIZE:
            raise PermanentError(
                WithdrawnCode.WITHDRAWN_MALFORMED,
                f"The list of what is withdrawn would have {len(data)} bytes, more than {MAX_SIZE}.",
                remedy="Withdraw some of what references the path first, and the rest tomorrow, when those traces have"
                " ended; or take from it what nobody will submit any more: `assayctl readmit PATH`.",
            )
        return data

    @classmethod
    def from_json(cls, data: bytes) -> Withdrawn:
        """Read a document; raises :class:`PermanentError` (``withdrawn-malformed``, or what a value in it raises)."""
        if len(data) > MAX_SIZE:
            raise _malformed("", f"has more than {MAX_SIZE} bytes")
        try:
            document = Fields("", json.loads(data), _malformed)
        # RecursionError: what json raises for a document nested a thousand levels deep.
        except (ValueError, RecursionError) as error:
            raise _malformed("", f"is no JSON: {error}") from error
        document.integer("schema", "a schema", least=SCHEMA, most=SCHEMA)
        for name in ("withdrawn", "traces"):
            if name not in document:
                # Not an empty list: a document that lost its entries must not let everything in again.
                raise _malformed(name, "is missing")
        entries = (
            *(_entry(fields, is_trace=False) for fields in document.objects("withdrawn")),
            *(_entry(fields, is_trace=True) for fields in document.objects("traces")),
        )
        document.nothing_else()
        if len({(entry.hash_part, entry.nar_hash) for entry in entries}) < len(entries):
            raise _malformed("withdrawn", "has an entry twice")
        return cls(entries)


def _entry(fields: Fields, *, is_trace: bool) -> Entry:
    hash_part = parse_hash_part(fields.text("hashPart"))
    nar_hash = None if is_trace else Hash.parse(fields.text("narHash"))
    text = fields.text("at")
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _malformed(fields.field("at"), f"is {text[:100]!r}, no moment") from error
    fields.nothing_else()
    return Entry(hash_part, nar_hash, at)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _malformed(path: str, problem: str) -> PermanentError:
    what = f"Its field {path}" if path else "It"
    return PermanentError(
        WithdrawnCode.WITHDRAWN_MALFORMED,
        f"The list of what is withdrawn cannot be read. {what} {problem}.",
        remedy="Restore an older version of it, or mend it: see docs/runbooks/poisoned-upload.md.",
        field=path or None,
    )
