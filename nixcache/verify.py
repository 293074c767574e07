"""The proof: from a submission's claim and bytes to a :class:`VerifiedStoreObject`, or to the reason why not.

What is proven of the bytes: they decompress wholly; their NAR has the claimed hash and size, is one well-formed
archive and nothing else; they mention every declared reference; and, where a content address is claimed, the store
path follows from them. What is *not*: that an input-addressed path is what its derivation builds, nor who derived it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, final

from nixcache.compression import decompressor
from nixcache.content_address import ContentAddressProof
from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import NarParser
from nixcache.nar_listing import ListingBuilder
from nixcache.narinfo import NarInfo
from nixcache.references import ReferenceScanner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nixcache.compression import Compression
    from nixcache.content_address import ContentAddress
    from nixcache.signature import Signature
    from nixcache.store_path import StoreDir, StorePath

DEFAULT_MAX_NAR_SIZE: Final = 10 * 1024**3
"""Bytes: 10 GiB."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a verifier takes on before it gives up."""

    max_nar_size: int = DEFAULT_MAX_NAR_SIZE


_SEAL: Final = object()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStoreObject:
    """A store object whose every byte :func:`verify` has read and found consistent (invariant I1).

    Only :func:`verify` holds the seal without which none is made, ``dataclasses.replace`` included: a signature can
    therefore not be made over anything else. ``deriver`` alone is a claim: no signature covers it.
    """

    seal: object
    store_dir: StoreDir
    store_path: StorePath
    nar_hash: Hash
    nar_size: int
    file_hash: Hash
    file_size: int
    compression: Compression
    references: tuple[StorePath, ...]
    deriver: StorePath | None
    ca: ContentAddress | None
    listing: bytes | None

    def __post_init__(self) -> None:
        """Refuse to exist without the seal, and let go of it."""
        if self.seal is not _SEAL:
            message = "Only nixcache.verify.verify makes a VerifiedStoreObject."
            raise TypeError(message)
        object.__setattr__(self, "seal", None)

    def __setstate__(self, _state: object) -> NoReturn:
        """Refuse copies: ``copy`` and ``pickle`` would make one without asking for the seal."""
        message = "A VerifiedStoreObject cannot be copied: verify the bytes again."
        raise TypeError(message)

    def narinfo(self, signatures: tuple[Signature, ...]) -> NarInfo:
        """Return the narinfo to publish: every value parsed, verified or computed here, its NAR named by its hash."""
        return NarInfo(
            store_dir=self.store_dir,
            store_path=self.store_path,
            url=f"nar/{self.file_hash.nix32}.nar{self.compression.extension}",
            compression=self.compression,
            file_hash=self.file_hash,
            file_size=self.file_size,
            nar_hash=self.nar_hash,
            nar_size=self.nar_size,
            references=self.references,
            deriver=self.deriver,
            signatures=signatures,
            ca=self.ca,
        )


def verify(
    narinfo: NarInfo,
    chunks: Iterable[bytes],
    *,
    limits: Limits | None = None,
    pulse: Callable[[], None] = lambda: None,
) -> VerifiedStoreObject:
    """Read the compressed NAR from ``chunks`` once, in constant memory, and prove what ``narinfo`` claims of it.

    ``limits`` default to :class:`Limits`. ``pulse`` is called for each chunk and before each piece of the NAR, of 256
    KiB at most; it may raise, for whoever has only so much time. Raises :class:`PermanentError` as soon as a claim is
    wrong; what ``chunks`` and ``pulse`` raise passes through.
    """
    limits = limits or Limits()
    if narinfo.nar_size > limits.max_nar_size:
        raise PermanentError(
            Code.TOO_LARGE,
            f"The NAR has {narinfo.nar_size} bytes; {limits.max_nar_size} are allowed.",
            remedy="Split the output, or ask the cache's operator for a higher limit.",
            field="NarSize",
        )
    proof = _Proof(narinfo, pulse)
    for chunk in chunks:
        proof.feed(chunk)
    return proof.finish()


class _Proof:
    def __init__(self, narinfo: NarInfo, pulse: Callable[[], None]) -> None:
        self._claim = narinfo
        self._pulse = pulse
        self._decompressor = decompressor(narinfo.compression)
        self._file_hash = hashlib.sha256()
        self._file_size = 0
        self._nar_hash = hashlib.sha256()
        self._nar_size = 0
        self._parser = NarParser()
        self._listing = ListingBuilder()
        self._scanner = ReferenceScanner(reference.hash_part for reference in narinfo.references)
        self._content_address = (
            ContentAddressProof(narinfo.ca, narinfo.store_path, narinfo.references) if narinfo.ca else None
        )

    def feed(self, chunk: bytes) -> None:
        self._file_hash.update(chunk)
        self._file_size += len(chunk)
        self._pulse()
        for piece in self._decompressor.feed(chunk):
            self._pulse()
            self._feed_nar(piece)

    def _feed_nar(self, piece: bytes) -> None:
        self._nar_size += len(piece)
        # Before any work on the piece: a bomb is left alone as soon as it is larger than it said.
        if self._nar_size > self._claim.nar_size:
            raise PermanentError(
                Code.NAR_SIZE_MISMATCH,
                f"The NAR is larger than the {self._claim.nar_size} bytes that it is said to have.",
                remedy="Upload the NAR that the narinfo was made from.",
                field="NarSize",
                offset=self._claim.nar_size,
            )
        self._nar_hash.update(piece)
        self._scanner.feed(piece)
        if self._content_address:
            self._content_address.feed_nar(piece)
        for event in self._parser.feed(piece):
            self._listing.add(event)
            if self._content_address:
                self._content_address.feed_event(event)

    def finish(self) -> VerifiedStoreObject:
        claim = self._claim
        self._decompressor.close()
        file_hash = Hash(HashAlgorithm.SHA256, self._file_hash.digest())
        nar_hash = Hash(HashAlgorithm.SHA256, self._nar_hash.digest())
        _compare(Code.FILE_SIZE_MISMATCH, "FileSize", claim.file_size, self._file_size)
        _compare(Code.FILE_HASH_MISMATCH, "FileHash", claim.file_hash, file_hash)
        _compare(Code.NAR_SIZE_MISMATCH, "NarSize", claim.nar_size, self._nar_size)
        _compare(Code.NAR_HASH_MISMATCH, "NarHash", claim.nar_hash, nar_hash)
        self._parser.close()
        self._check_references()
        if self._content_address:
            self._content_address.finish(claim.store_dir)
        return VerifiedStoreObject(
            seal=_SEAL,
            store_dir=claim.store_dir,
            store_path=claim.store_path,
            nar_hash=nar_hash,
            nar_size=self._nar_size,
            file_hash=file_hash,
            file_size=self._file_size,
            compression=claim.compression,
            references=claim.references,
            deriver=claim.deriver,
            ca=claim.ca,
            listing=self._listing.finish(),
        )

    def _check_references(self) -> None:
        found = self._scanner.found
        missing = [reference for reference in self._claim.references if reference.hash_part not in found]
        if missing:
            shown = ", ".join(reference.base_name for reference in missing[:5])
            raise PermanentError(
                Code.REFERENCE_NOT_FOUND,
                f"The NAR never mentions {len(missing)} of its declared references: {shown}.",
                remedy="Declare only references that the contents hold.",
                field="References",
            )


def _compare(code: Code, field: str, claimed: Hash | int | None, actual: Hash | int) -> None:
    if claimed is not None and claimed != actual:
        raise PermanentError(
            code,
            f"{field} says {claimed}, the bytes say {actual}.",
            remedy="Upload the NAR and its narinfo again, both from the same build.",
            field=field,
        )
