"""What one pass over a NAR's bytes proves and finds: its hash, its form, its mentions, its address."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixcache.build_ids import BuildIdCollector
from nixcache.content_address import ContentAddressProof
from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import NarParser
from nixcache.nar_listing import ListingBuilder
from nixcache.references import ReferenceScanner

if TYPE_CHECKING:
    from nixcache.content_address import ContentAddress
    from nixcache.narinfo import NarInfo
    from nixcache.store_path import StorePath


@dataclass(frozen=True, slots=True, kw_only=True)
class NarFindings:
    """What is known of a NAR that has been read to its end, and is well-formed.

    ``ca`` is the content address to publish, if one is proven and no client refuses it. ``unmentioned`` are the
    declared references that the bytes never mention, ``undeclared`` the store paths that they mention although nobody
    declared them, ``more_undeclared`` tells whether there are more of those than are named.
    """

    nar_hash: Hash
    ca: ContentAddress | None
    listing: bytes | None
    build_ids: tuple[str, ...]
    unmentioned: tuple[StorePath, ...]
    undeclared: tuple[StorePath, ...]
    more_undeclared: bool


class NarProof:
    """Takes a NAR in pieces, once, in constant memory. Nothing in it waits: it may run on a thread of its own."""

    def __init__(self, claim: NarInfo) -> None:
        """Prepare to read the NAR that ``claim`` is about."""
        self._claim = claim
        self._hash = hashlib.sha256()
        self._parser = NarParser()
        self._listing = ListingBuilder()
        self._build_ids = BuildIdCollector()
        self._scanner = ReferenceScanner(claim.store_dir, [reference.hash_part for reference in claim.references])
        # A derivation is content-addressed even where its narinfo leaves that out: clients would take any other.
        provable = claim.ca is not None or claim.store_path.is_derivation
        self._content_address = ContentAddressProof(claim.ca, claim.store_path, claim.references) if provable else None

    def feed(self, piece: bytes) -> None:
        """Take the next bytes; raises :class:`PermanentError` as soon as they cannot be what was claimed."""
        events = self._parser.feed(piece)
        self._listing.feed(events)
        self._build_ids.feed(events)
        if self._content_address:
            self._content_address.feed(piece, events)
        self._scanner.feed(piece)
        self._hash.update(piece)

    def finish(self) -> NarFindings:
        """Return what was found; raises :class:`PermanentError` for a wrong NarHash, NAR or content address."""
        nar_hash = Hash(HashAlgorithm.SHA256, self._hash.digest())
        if nar_hash != self._claim.nar_hash:
            raise PermanentError(
                Code.NAR_HASH_MISMATCH,
                f"NarHash says {self._claim.nar_hash}, the bytes say {nar_hash}.",
                remedy="Upload the NAR and its narinfo again, both from the same build.",
                field="NarHash",
            )
        self._parser.close()
        ca = self._content_address.finish(self._claim.store_dir) if self._content_address else None
        self._scanner.finish()
        found = self._scanner.found
        itself = self._claim.store_path.hash_part
        return NarFindings(
            nar_hash=nar_hash,
            ca=ca,
            listing=self._listing.finish(),
            build_ids=self._build_ids.ids,
            unmentioned=tuple(path for path in self._claim.references if path.hash_part not in found),
            # Whoever has the path has what it mentions of itself.
            undeclared=tuple(path for path in self._scanner.undeclared if path.hash_part != itself),
            more_undeclared=self._scanner.overflowed,
        )
