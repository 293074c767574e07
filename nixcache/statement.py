"""Statements: what is attested of one store object (in-toto Statement v1, github.com/in-toto/attestation).

A statement that was read is a claim; :meth:`Statement.from_envelope` reads only one that a trusted key signed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, final

from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.store_path import StoreDir, StorePath
from nixcache.strict_json import Json, read_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nixcache.dsse import Envelope
    from nixcache.narinfo import NarInfo
    from nixcache.signature import PublicKey

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
"""What an envelope calls a statement."""
PREDICATE_TYPE: Final = "urn:assay:publication:v1"
"""Assay's provenance: who submitted a store path that was published, and what was checked."""
MAX_STATEMENT_SIZE: Final = 2 * 1024**2
"""Bytes. A narinfo has 1 MiB at most, and a statement about it lists its references."""
MAX_PREDICATE_DEPTH: Final = 16
"""Levels of objects and arrays, the predicate itself being the first."""

# RFC 3986, and no white space or control character. An absolute URI, as in-toto asks for.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,2000}", re.ASCII)
_SHA256_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_INTEGERS = range(-(2**63), 2**63)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """``predicate``, of the type ``predicate_type`` (a URI), about the store object with this path and NAR hash.

    The predicate is copied and cannot be changed: objects in it, integers below 2^63, strings, booleans, null, arrays
    (tuples here). No fractions: they are not written alike everywhere. Raises :class:`PermanentError`
    (``attestation-malformed``) where it holds anything else, or the NAR hash is no SHA-256.
    """

    store_dir: StoreDir
    store_path: StorePath
    nar_hash: Hash
    predicate_type: str
    predicate: Mapping[str, Json]

    def __post_init__(self) -> None:
        """Refuse what could not be written and read back as the same."""
        if self.nar_hash.algorithm is not HashAlgorithm.SHA256:
            raise _malformed("The digest is no SHA-256.", field="subject")
        if not _URI.fullmatch(self.predicate_type):
            raise _malformed("The predicate's type is no URI.", field="predicateType")
        object.__setattr__(self, "predicate", _frozen_object(self.predicate, MAX_PREDICATE_DEPTH))

    @classmethod
    def from_envelope(cls, envelope: Envelope, keys: Iterable[PublicKey]) -> Statement:
        """Return the statement that one of ``keys`` signed; nothing of the envelope is read before.

        Raises :class:`PermanentError` (``attestation-unsigned``, ``attestation-malformed``).
        """
        envelope.verify(keys)
        if envelope.payload_type != PAYLOAD_TYPE:
            raise _malformed(f"The payload is {envelope.payload_type[:80]!a}, no statement.", field="payloadType")
        return cls.from_json(envelope.payload)

    @classmethod
    def from_json(cls, data: bytes) -> Statement:
        """Read a statement about one store object; fields that in-toto does not define are passed over, as it says.

        Raises :class:`PermanentError` (``attestation-malformed``), which names the field.
        """
        document = read_object(data, max_size=MAX_STATEMENT_SIZE, code=Code.ATTESTATION_MALFORMED, what="statement")
        if document.get("_type") != STATEMENT_TYPE:
            raise _malformed(f"The document is not of the type {STATEMENT_TYPE}.", field="_type")
        predicate_type = document.get("predicateType")
        if not isinstance(predicate_type, str):
            raise _malformed("The predicate's type is missing, or no string.", field="predicateType")
        predicate = document.get("predicate", {})
        if not isinstance(predicate, dict):
            raise _malformed("The predicate is no JSON object.", field="predicate")
        name, nar_hash = _subject(document.get("subject"))
        directory, _, base_name = name.rpartition("/")
        try:
            store_dir, store_path = StoreDir(directory), StorePath.from_base_name(base_name)
        except PermanentError as error:
            raise _malformed(error.problem, field="subject") from error
        return cls(
            store_dir=store_dir,
            store_path=store_path,
            nar_hash=nar_hash,
            predicate_type=predicate_type,
            predicate=predicate,
        )

    def to_json(self) -> bytes:
        """Return the statement on one line, in ASCII, names sorted: the order in which it was put together is gone.

        Raises :class:`PermanentError` (``attestation-malformed``) if they are more than :data:`MAX_STATEMENT_SIZE`.
        """
        document = {
            "_type": STATEMENT_TYPE,
            "subject": [
                {
                    "name": self.store_dir.render(self.store_path),
                    "digest": {self.nar_hash.algorithm.value: self.nar_hash.hex},
                }
            ],
            "predicateType": self.predicate_type,
            "predicate": self.predicate,
        }
        # default: MappingProxyType is no dict.
        data = json.dumps(document, sort_keys=True, separators=(",", ":"), default=dict).encode()
        if len(data) > MAX_STATEMENT_SIZE:
            raise _malformed(
                f"The statement has {len(data)} bytes; {MAX_STATEMENT_SIZE} are allowed.", field="predicate"
            )
        return data

    def is_about(self, narinfo: NarInfo) -> bool:
        """Tell whether ``narinfo`` describes the store object that this is about: the same store path and NAR hash."""
        mine = (self.store_dir, self.store_path, self.nar_hash)
        return mine == (narinfo.store_dir, narinfo.store_path, narinfo.nar_hash)


def _subject(value: Json) -> tuple[str, Hash]:
    """Return name and digest of the one subject. With two, a name could be read with the other's digest."""
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], dict):
        raise _malformed("The subject is not one store object.", field="subject")
    name, digest = value[0].get("name"), value[0].get("digest")
    if not isinstance(name, str) or not isinstance(digest, dict):
        raise _malformed("The subject has no name or no digest.", field="subject")
    # Digests by other algorithms may stand beside it.
    sha256 = digest.get(HashAlgorithm.SHA256.value)
    if not isinstance(sha256, str) or not _SHA256_HEX.fullmatch(sha256):
        raise _malformed("The subject has no SHA-256 in lower-case hex.", field="subject")
    return name, Hash(HashAlgorithm.SHA256, bytes.fromhex(sha256))


def _frozen_object(value: Mapping[str, Json], levels: int) -> Mapping[str, Json]:
    return MappingProxyType({_frozen_text(name): _frozen(item, levels - 1) for name, item in value.items()})


def _frozen(value: Json, levels: int) -> Json:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _frozen_text(value)
    if isinstance(value, int):
        if value not in _INTEGERS:
            raise _malformed("The predicate holds an integer of more than 64 bits.", field="predicate")
        return int(value)
    if isinstance(value, (Mapping, list, tuple)):
        if levels == 0:
            raise _malformed(f"The predicate has more than {MAX_PREDICATE_DEPTH} levels.", field="predicate")
        if isinstance(value, Mapping):
            return _frozen_object(value, levels)
        return tuple(_frozen(item, levels - 1) for item in value)
    raise _malformed(
        f"The predicate holds {value!a:.40}, which is no integer, string, boolean, null, array or object.",
        field="predicate",
    )


def _frozen_text(value: object) -> str:
    if not isinstance(value, str):
        raise _malformed("The predicate has a name that is no string.", field="predicate")
    try:
        value.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair: readers disagree on what it is, and a terminal cannot show it.
        raise _malformed("The predicate holds a string that is no Unicode text.", field="predicate") from None
    # A plain string, also where it is an enumeration's.
    return str(value)


def _malformed(problem: str, *, field: str) -> PermanentError:
    return PermanentError(
        Code.ATTESTATION_MALFORMED,
        problem,
        remedy="Assay writes no such statement: ask whoever signed it.",
        field=field,
    )
