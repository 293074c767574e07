"""The grammar of object keys in the three buckets: one strict pattern for each kind, built and parsed nowhere else.

A key arrives in an event that a builder caused, so it is input like any other: a pattern that let ``..``, a second
slash or another alphabet through would let one builder point at another's objects, or at a narinfo of the cache.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from nixcache import nix32
from nixcache.compression import READABLE, Compression
from nixcache.errors import PermanentError
from nixcache.hashes import Hash
from nixcache.store_path import HASH_PART_LENGTH, HashPart, StorePath

NARINFO_SUFFIX: Final = ".narinfo"
"""What the staging bucket's notification filters by."""
NIX_CACHE_INFO_KEY: Final = "nix-cache-info"
INDEX_KEY: Final = "index.html"
"""The cache's landing page."""
STATUS_KEY: Final = "status.json"
"""What the page counts, for programs and for itself."""
PUBLIC_KEYS_KEY: Final = "public-keys"
"""What readers write into ``trusted-public-keys``, a key a line."""
PUBLIC_KEYS_JSON_KEY: Final = "public-keys.json"
"""The keys that readers are to trust, and since when, and until when."""
RESULTS_PREFIX: Final = "results/"
WAITING_PREFIX: Final = "waiting/"
VOTES_PREFIX: Final = "votes/"
PROVENANCE_PREFIX: Final = "provenance/"
ORPHANS_PREFIX: Final = "orphans/"
WITHDRAWN_KEY: Final = "withdrawn.json"
"""In the ledger: what an operator took out of the cache, and ingest does not publish again."""

_BUILDER = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HASH_PART = f"[{nix32.ALPHABET}]{{{HASH_PART_LENGTH}}}"
_SHA256 = f"[{nix32.ALPHABET}]{{52}}"
# A longer extension first is not needed: the pattern is always matched whole.
_EXTENSION = "|".join(sorted({re.escape(method.extension) for method in READABLE}))
_NAR_FILE = rf"({_SHA256})\.nar({_EXTENSION})"


class KeyCode(StrEnum):
    """What can be wrong with a name or key itself."""

    OBJECT_KEY_MALFORMED = "object-key-malformed"
    BUILDER_NAME_MALFORMED = "builder-name-malformed"


def _match(pattern: str, text: str, *, what: str) -> tuple[str, ...]:
    match = re.fullmatch(pattern, text, re.ASCII)
    if match is None:
        raise PermanentError(
            KeyCode.OBJECT_KEY_MALFORMED, f"{text[:300]!r} is not the key of {what}.", remedy=f"It matches {pattern}."
        )
    return match.groups()


@dataclass(frozen=True, slots=True, order=True)
class BuilderName:
    """The name of a builder: 1 to 63 characters of ``a-z 0-9 -``, a DNS label.

    Lower case only: were case allowed, one builder could pass for two (``CI`` and ``ci``).
    """

    value: str

    def __post_init__(self) -> None:
        """Raise :class:`PermanentError` (``builder-name-malformed``) for anything else."""
        if not re.fullmatch(_BUILDER, self.value, re.ASCII):
            raise PermanentError(
                KeyCode.BUILDER_NAME_MALFORMED,
                f"{self.value[:100]!r} cannot name a builder.",
                remedy="Use 1 to 63 characters of a-z, 0-9 and -, neither first nor last a dash.",
            )

    @property
    def staging_prefix(self) -> str:
        """The prefix that this builder alone may write to in the staging bucket."""
        return f"{self.value}/"

    @property
    def results_prefix(self) -> str:
        """The prefix that this builder alone may read in the ledger bucket."""
        return f"{RESULTS_PREFIX}{self.value}/"

    def __str__(self) -> str:
        """The name."""
        return self.value


@dataclass(frozen=True, slots=True)
class NarFile:
    """The name of a file below ``nar/``: 52 Nix32 characters of a SHA-256, ``.nar`` and an extension.

    In staging the hash is whichever the builder chose (ours: the nar hash, known before the upload; Nix's own
    client: the file hash); in the cache it is the file hash, computed by Assay. The extension (dot included, or none)
    is the one that Nix gives files of a method: gzip has none of its own, so a name does not tell the method.
    """

    sha256: str
    extension: str

    @classmethod
    def parse_url(cls, url: str) -> NarFile:
        """Read a narinfo's ``URL``, which is ``nar/<file>`` and nothing else: no host, no ``..``, no query.

        Raises :class:`PermanentError` (``object-key-malformed``).
        """
        sha256, extension = _match(f"nar/{_NAR_FILE}", url, what="a NAR, relative to its narinfo")
        return cls(sha256, extension)

    @classmethod
    def of(cls, file_hash: Hash, compression: Compression) -> NarFile:
        """Return the name of the file with ``file_hash``."""
        return cls(file_hash.nix32, compression.extension)

    @property
    def name(self) -> str:
        """The name itself."""
        return f"{self.sha256}.nar{self.extension}"

    @property
    def url(self) -> str:
        """``nar/<file>``, as a narinfo's ``URL`` has it."""
        return f"nar/{self.name}"


@dataclass(frozen=True, slots=True)
class StagingNarInfoKey:
    """``<builder>/<hash part>.narinfo`` in the staging bucket: its arrival is what starts ingest."""

    builder: BuilderName
    hash_part: HashPart

    @classmethod
    def parse(cls, text: str) -> StagingNarInfoKey:
        """Read a key; raises :class:`PermanentError` (``object-key-malformed``)."""
        builder, hash_part = _match(
            rf"({_BUILDER})/({_HASH_PART})\{NARINFO_SUFFIX}", text, what="a narinfo in the staging bucket"
        )
        return cls(BuilderName(builder), HashPart(hash_part))

    def __str__(self) -> str:
        """The key."""
        return f"{self.builder.staging_prefix}{self.hash_part}{NARINFO_SUFFIX}"


@dataclass(frozen=True, slots=True)
class StagingNarKey:
    """``<builder>/nar/<file>`` in the staging bucket."""

    builder: BuilderName
    file: NarFile

    def __str__(self) -> str:
        """The key."""
        return f"{self.builder.staging_prefix}{self.file.url}"


@dataclass(frozen=True, slots=True)
class StagingLogKey:
    """``<builder>/log/<base name of the derivation>`` in the staging bucket, as a binary cache has it."""

    builder: BuilderName
    deriver: StorePath

    def __str__(self) -> str:
        """The key."""
        return f"{self.builder.staging_prefix}log/{self.deriver.base_name}"


@dataclass(frozen=True, slots=True)
class CacheNarInfoKey:
    """``<hash part>.narinfo`` in the cache bucket: the commit point of a publication."""

    hash_part: HashPart

    @classmethod
    def parse(cls, text: str) -> CacheNarInfoKey:
        """Read a key; raises :class:`PermanentError` (``object-key-malformed``)."""
        (hash_part,) = _match(rf"({_HASH_PART})\{NARINFO_SUFFIX}", text, what="a narinfo in the cache bucket")
        return cls(HashPart(hash_part))

    def __str__(self) -> str:
        """The key."""
        return f"{self.hash_part}{NARINFO_SUFFIX}"


@dataclass(frozen=True, slots=True)
class CacheNarKey:
    """``nar/<file>`` in the cache bucket."""

    file: NarFile

    def __str__(self) -> str:
        """The key."""
        return self.file.url


@dataclass(frozen=True, slots=True)
class CacheListingKey:
    """``<hash part>.ls`` in the cache bucket."""

    hash_part: HashPart

    def __str__(self) -> str:
        """The key."""
        return f"{self.hash_part}.ls"


@dataclass(frozen=True, slots=True)
class ResultKey:
    """``results/<builder>/<hash part>.json`` in the ledger bucket: the newest verdict."""

    builder: BuilderName
    hash_part: HashPart

    def __str__(self) -> str:
        """The key."""
        return f"{self.builder.results_prefix}{self.hash_part}.json"


@dataclass(frozen=True, slots=True)
class WaitingKey:
    """``waiting/<missing>/<builder>/<hash part>`` in the ledger bucket: wake this submission when that is there."""

    missing: HashPart
    builder: BuilderName
    hash_part: HashPart

    @classmethod
    def parse(cls, text: str) -> WaitingKey:
        """Read a key; raises :class:`PermanentError` (``object-key-malformed``)."""
        missing, builder, hash_part = _match(
            f"{WAITING_PREFIX}({_HASH_PART})/({_BUILDER})/({_HASH_PART})", text, what="a waiting marker"
        )
        return cls(HashPart(missing), BuilderName(builder), HashPart(hash_part))

    @staticmethod
    def prefix(missing: HashPart) -> str:
        """What the keys of all that wait for ``missing`` begin with."""
        return f"{WAITING_PREFIX}{missing}/"

    def __str__(self) -> str:
        """The key."""
        return f"{self.prefix(self.missing)}{self.builder}/{self.hash_part}"


@dataclass(frozen=True, slots=True)
class VoteKey:
    """``votes/<hash part>/<builder>.json`` in the ledger bucket: one builder, one vote on one store path."""

    hash_part: HashPart
    builder: BuilderName

    @classmethod
    def parse(cls, text: str) -> VoteKey:
        """Read a key; raises :class:`PermanentError` (``object-key-malformed``)."""
        hash_part, builder = _match(rf"{VOTES_PREFIX}({_HASH_PART})/({_BUILDER})\.json", text, what="a vote")
        return cls(HashPart(hash_part), BuilderName(builder))

    @staticmethod
    def prefix(hash_part: HashPart) -> str:
        """What the keys of all votes on ``hash_part`` begin with."""
        return f"{VOTES_PREFIX}{hash_part}/"

    def __str__(self) -> str:
        """The key."""
        return f"{self.prefix(self.hash_part)}{self.builder}.json"


@dataclass(frozen=True, slots=True)
class OrphanKey:
    """``orphans/<file>`` in the ledger bucket: this NAR in the cache lost a race, so maybe no narinfo names it."""

    file: NarFile

    def __str__(self) -> str:
        """The key."""
        return f"{ORPHANS_PREFIX}{self.file.name}"


@dataclass(frozen=True, slots=True)
class ProvenanceKey:
    """``provenance/<hash part>.json`` in the ledger bucket; empty as long as the path is only waited for."""

    hash_part: HashPart

    def __str__(self) -> str:
        """The key."""
        return f"{PROVENANCE_PREFIX}{self.hash_part}.json"
