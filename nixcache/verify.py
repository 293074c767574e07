"""The proof: from a submission's claim and bytes to a :class:`VerifiedStoreObject`, or to the reason why not.

What is proven of the bytes: they decompress wholly; their NAR has the claimed hash and size, is one well-formed
archive and nothing else; they mention every declared reference; and, where a content address is claimed, the store
path follows from them. What is *not*: that an input-addressed path is what its derivation builds, nor who derived it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NoReturn, final

from nixcache.compression import decompressor
from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar_proof import NarProof
from nixcache.narinfo import NarInfo
from nixcache.second_thread import SecondThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nixcache.compression import Compression
    from nixcache.content_address import ContentAddress
    from nixcache.signature import Signature
    from nixcache.store_path import StoreDir, StorePath

DEFAULT_MAX_NAR_SIZE: Final = 10 * 1024**3
"""Bytes: 10 GiB."""
DEFAULT_MAX_EXPANSION: Final = 4096
"""Times. Nix's own outputs stay below 100; zstd reaches 30,000 with nothing but zeros."""
_ALWAYS_EXPANDED: Final = 64 * 1024**2
_BLOCK_SIZE: Final = 1024**2


class Policy(StrEnum):
    """What to do about something that an honest builder may have a reason for."""

    REJECT = "reject"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a verifier takes on before it gives up: bytes of a NAR, and how many times its file it may be as large."""

    max_nar_size: int = DEFAULT_MAX_NAR_SIZE
    max_expansion: int = DEFAULT_MAX_EXPANSION

    def max_file_size(self, nar_size: int) -> int:
        """Return how many bytes the compressed file of a NAR of ``nar_size`` bytes may have.

        No method adds an eighth to what it cannot compress. What does has been padded with frames that decompress to
        nothing, and costs its reader without end.
        """
        return nar_size + nar_size // 8 + 64 * 1024

    def check_nar_size(self, nar_size: int) -> None:
        """Raise :class:`PermanentError` (``too-large``) for a NAR that is not even looked at."""
        if nar_size > self.max_nar_size:
            raise PermanentError(
                Code.TOO_LARGE,
                f"The NAR has {nar_size} bytes; {self.max_nar_size} are allowed.",
                remedy="Split the output, or ask the cache's operator for a higher limit.",
                field="NarSize",
            )

    def check_file_size(self, file_size: int, nar_size: int) -> None:
        """Raise :class:`PermanentError` (``too-large``) for a file that is too small or too large for its NAR."""
        if file_size > self.max_file_size(nar_size):
            raise PermanentError(
                Code.TOO_LARGE,
                f"The file is larger than the {self.max_file_size(nar_size)} bytes that its NAR may need.",
                remedy="Compress the NAR again.",
                field="FileSize",
            )
        if nar_size > max(_ALWAYS_EXPANDED, file_size * self.max_expansion):
            raise PermanentError(
                Code.TOO_LARGE,
                f"The NAR has {nar_size} bytes, more than {self.max_expansion} times its file's {file_size}.",
                remedy="Compress such data inside the output, or ask the cache's operator for a higher limit.",
                field="NarSize",
            )


_SEAL: Final = object()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStoreObject:
    """A store object whose every byte :func:`verify` has read and found consistent (invariant I1).

    Only :func:`verify` holds the seal without which none is made, ``dataclasses.replace`` included: a signature can
    therefore not be made over anything else. ``deriver`` alone is a claim: no signature covers it. ``ca`` is None, too,
    where clients disagree on the address, and is there for every derivation, claimed or not (docs/adr/0043).
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
    build_ids: tuple[str, ...]
    unmentioned: tuple[StorePath, ...]
    undeclared: tuple[StorePath, ...]
    more_undeclared: bool

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
    reference_not_found: Policy = Policy.REJECT,
    pulse: Callable[[], None] = lambda: None,
) -> VerifiedStoreObject:
    """Read the compressed NAR from ``chunks`` once, in constant memory, and prove what ``narinfo`` claims of it.

    Two threads share the work: this one reads and decompresses; the other hashes, and examines the NAR. ``limits``
    default to :class:`Limits`. ``reference_not_found`` says what becomes of a declared reference that the bytes never
    mention. ``pulse`` is called for each chunk and before each piece of the NAR, of 1 MiB at most; it may raise, for
    whoever has only so much time. Raises :class:`PermanentError` as soon as a claim is wrong, for the same input always
    the same; what ``chunks`` and ``pulse`` raise passes through.
    """
    limits = limits or Limits()
    limits.check_nar_size(narinfo.nar_size)
    if narinfo.file_size is not None:
        limits.check_file_size(narinfo.file_size, narinfo.nar_size)
    file = _File(narinfo, limits, pulse)
    proof = NarProof(narinfo)
    with SecondThread() as examiner:
        try:
            for piece in file.decompress(chunks, examiner):
                examiner.give(proof.feed, piece)
        except PermanentError:
            # A fault in what came before comes first, whichever thread was faster.
            examiner.wait()
            raise
        examiner.wait()
    file.finish()
    findings = proof.finish()
    if reference_not_found is Policy.REJECT and findings.unmentioned:
        raise _not_found(findings.unmentioned)
    return VerifiedStoreObject(
        seal=_SEAL,
        store_dir=narinfo.store_dir,
        store_path=narinfo.store_path,
        nar_hash=findings.nar_hash,
        nar_size=narinfo.nar_size,
        file_hash=file.hash,
        file_size=file.size,
        compression=narinfo.compression,
        references=narinfo.references,
        deriver=narinfo.deriver,
        ca=findings.ca,
        listing=findings.listing,
        build_ids=findings.build_ids,
        unmentioned=findings.unmentioned,
        undeclared=findings.undeclared,
        more_undeclared=findings.more_undeclared,
    )


class _File:
    """The compressed file: hashed, decompressed and measured on its way to the examiner."""

    def __init__(self, claim: NarInfo, limits: Limits, pulse: Callable[[], None]) -> None:
        self._claim = claim
        self._limits = limits
        self._pulse = pulse
        self._decompressor = decompressor(claim.compression)
        self._hash = hashlib.sha256()
        self._nar_size = 0
        self.size = 0

    @property
    def hash(self) -> Hash:
        return Hash(HashAlgorithm.SHA256, self._hash.digest())

    def decompress(self, chunks: Iterable[bytes], examiner: SecondThread) -> Iterator[bytes]:
        allowed = self._limits.max_file_size(self._claim.nar_size)
        for block in self._blocks(chunks):
            # What is within the limits is judged first, as if the file ended there.
            within = block[: allowed - self.size]
            examiner.give(self._hash.update, within)
            self.size += len(within)
            for piece in self._decompressor.feed(within):
                self._pulse()
                yield from self._measured(piece)
            if len(within) < len(block):
                self._limits.check_file_size(self.size + 1, self._claim.nar_size)
        self._decompressor.close()

    def _blocks(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Cut ``chunks`` anew: a codec that fails keeps what it had read before, so how a network cuts would decide."""
        parts: list[bytes] = []
        missing = _BLOCK_SIZE
        for chunk in chunks:
            self._pulse()
            start = 0
            while len(chunk) - start >= missing:
                yield b"".join((*parts, chunk[start : start + missing]))
                parts.clear()
                start += missing
                missing = _BLOCK_SIZE
            if start < len(chunk):  # chunks of just this size pass uncopied: one part alone is joined as it is
                parts.append(chunk[start:])
                missing -= len(chunk) - start
        yield b"".join(parts)

    def _measured(self, piece: bytes) -> Iterator[bytes]:
        """A bomb is left alone as soon as it is larger than it said."""
        missing = self._claim.nar_size - self._nar_size
        self._nar_size += len(piece)
        if missing >= len(piece):
            yield piece
            return
        yield piece[:missing]
        raise PermanentError(
            Code.NAR_SIZE_MISMATCH,
            f"The NAR is larger than the {self._claim.nar_size} bytes that it is said to have.",
            remedy="Upload the NAR that the narinfo was made from.",
            field="NarSize",
            offset=self._claim.nar_size,
        )

    def finish(self) -> None:
        """Compare what was read with what was claimed."""
        _compare(Code.FILE_SIZE_MISMATCH, "FileSize", self._claim.file_size, self.size)
        _compare(Code.FILE_HASH_MISMATCH, "FileHash", self._claim.file_hash, self.hash)
        _compare(Code.NAR_SIZE_MISMATCH, "NarSize", self._claim.nar_size, self._nar_size)
        self._limits.check_file_size(self.size, self._nar_size)


def _compare(code: Code, field: str, claimed: Hash | int | None, actual: Hash | int) -> None:
    if claimed is not None and claimed != actual:
        raise PermanentError(
            code,
            f"{field} says {claimed}, the bytes say {actual}.",
            remedy="Upload the NAR and its narinfo again, both from the same build.",
            field=field,
        )


def _not_found(references: Sequence[StorePath]) -> PermanentError:
    shown = ", ".join(reference.base_name for reference in references[:5])
    return PermanentError(
        Code.REFERENCE_NOT_FOUND,
        f"The NAR never mentions {len(references)} of its declared references: {shown}.",
        remedy="Declare only references that the contents hold.",
        field="References",
    )
