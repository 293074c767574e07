"""Why Assay refuses narinfos that some client, or every client, installs from. Each has traps that prove it."""

from __future__ import annotations

from typing import NamedTuple

from nixcache.errors import Code
from protocol.verdicts import ServiceCode
from tests.differential.narinfo_cases import VALUES
from tests.nixcache.outcomes import Failure


class Reason(NamedTuple):
    """What a refusal looks like, and why it is right."""

    why: str
    code: str
    field: str | None
    fragment: str


_LINES = "lines: a name of letters, digits and dashes, a colon, one space, printable ASCII"
_TWICE = "fields given twice: clients take the last, people and other tools the first"
_REFERENCES = "References: one space between two, each once"
_SIZES = "numbers: one way to write each, without sign and leading zeros, below 10^19"
_DIGESTS = "hashes: base64 only with its padding, no spare bits and nothing after it"
_FILE = "FileHash and FileSize: clients never check them, Assay does"
_METHODS = "compression: named truthfully, and one that Assay can check"
_WHERE = "URL: nar/<52 Nix32 characters>.nar and its extension, below the builder's own prefix; nothing else is read"
_MALFORMED = Code.NARINFO_MALFORMED

REASONS = [
    Reason(_LINES, _MALFORMED, None, "is not a line of a narinfo"),
    Reason(_LINES, _MALFORMED, None, "ASCII"),
    *(Reason(_TWICE, _MALFORMED, name, f"{name} is given twice") for name in VALUES if name != "Sig"),
    Reason("Sig: none that is malformed; clients that trust its key name refuse the path", _MALFORMED, "Sig", ""),
    Reason("StorePath: normalised, without //, /./, /../ or a slash at its end", _MALFORMED, "StorePath", "is not a"),
    Reason(_REFERENCES, _MALFORMED, "References", "is not a hash part"),
    Reason(_REFERENCES, _MALFORMED, "References", "A reference is given twice"),
    Reason("References: none that the bytes never mention", Code.REFERENCE_NOT_FOUND, "References", ""),
    Reason("CA: no references where the address does not cover them", Code.CA_MISMATCH, "CA", "has no references"),
    Reason(_SIZES, _MALFORMED, "FileSize", "is not a size"),
    Reason(_SIZES, _MALFORMED, "NarSize", "is not a size"),
    Reason(_DIGESTS, _MALFORMED, "NarHash", "The digest"),
    Reason(_DIGESTS, _MALFORMED, "FileHash", "The digest"),
    Reason(_DIGESTS, _MALFORMED, "CA", "The digest"),
    Reason(_FILE, _MALFORMED, "FileHash", "not a SHA-256"),
    Reason(_FILE, Code.FILE_HASH_MISMATCH, "FileHash", ""),
    Reason(_FILE, Code.FILE_SIZE_MISMATCH, "FileSize", ""),
    Reason(_FILE, Code.TOO_LARGE, "FileSize", ""),
    Reason(_METHODS, Code.COMPRESSION_UNSUPPORTED, "Compression", ""),
    Reason(_METHODS, _MALFORMED, "URL", "The file is named"),
    Reason(_WHERE, _MALFORMED, "URL", "is not the key"),
    Reason(_WHERE, _MALFORMED, "URL", "white space"),
    Reason(_WHERE, ServiceCode.NAR_MISSING, "URL", ""),
    Reason("Deriver: a base name that newer clients read", _MALFORMED, "Deriver", "is not a base name"),
]


def reason_for(failure: Failure) -> str | None:
    """Return why ``failure`` is right although a client installs, or None if nobody has thought of it."""
    for reason in REASONS:
        if (failure.code, failure.field) == (reason.code, reason.field) and reason.fragment in failure.problem:
            return reason.why
    return None
