"""Content addresses, and the store path that follows (src/libstore/content-address.cc, store-dir-config.cc)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from nixcache import nix32
from nixcache.errors import Code, PermanentError
from nixcache.hash_modulo import HashModulo
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import Contents, Event, RegularFile
from nixcache.store_path import HashPart, StoreDir, StorePath

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_PATH_HASH_SIZE = 20


class ContentAddressMethod(StrEnum):
    """How a store object is turned into the bytes that its address hashes."""

    TEXT = "text"
    FLAT = "fixed"
    NAR = "fixed:r"


@dataclass(frozen=True, slots=True)
class ContentAddress:
    """A claim, in a narinfo's ``CA`` field: hashing the object by ``method`` gives ``hash``."""

    method: ContentAddressMethod
    hash: Hash

    @classmethod
    def parse(cls, text: str) -> ContentAddress:
        """Read ``text:<hash>``, ``fixed:<hash>`` or ``fixed:r:<hash>``.

        Raises :class:`PermanentError` (``content-address-malformed``, ``hash-malformed``); git's method
        (``fixed:git:``) is one that Nix itself still calls experimental, and is refused.
        """
        for method in (ContentAddressMethod.NAR, ContentAddressMethod.FLAT, ContentAddressMethod.TEXT):
            if text.startswith(f"{method}:"):
                return cls(method, Hash.parse(text[len(method) + 1 :]))
        raise PermanentError(
            Code.CONTENT_ADDRESS_MALFORMED,
            f"{text[:100]!r} is not a content address.",
            remedy="It is text:<hash>, fixed:<hash> or fixed:r:<hash>.",
        )

    def __str__(self) -> str:
        """The canonical form."""
        return f"{self.method}:{self.hash}"

    def store_path(self, store_dir: StoreDir, name: str, references: Iterable[StorePath], *, itself: bool) -> StorePath:
        """Return the store path that an object called ``name`` with this address has.

        ``references`` are those to other paths; ``itself`` tells whether it mentions its own. Raises
        :class:`PermanentError` (``ca-mismatch``) for references that this kind of address cannot have.
        """
        others = sorted(references)
        listed = "".join(f":{store_dir.render(reference)}" for reference in others)
        sha256 = self.hash.algorithm is HashAlgorithm.SHA256
        if self.method is ContentAddressMethod.TEXT:
            if itself or not sha256:
                raise _mismatch("A text: address is by SHA-256 and its object never mentions itself.")
            return _make_store_path(store_dir, f"text{listed}", self.hash.hex, name)
        if self.method is ContentAddressMethod.NAR and sha256:
            return _make_store_path(store_dir, f"source{listed}{':self' if itself else ''}", self.hash.hex, name)
        if others or itself:
            raise _mismatch(f"An object addressed by {self.method}:{self.hash.algorithm} has no references.")
        recursive = "r:" if self.method is ContentAddressMethod.NAR else ""
        inner = hashlib.sha256(f"fixed:out:{recursive}{self.hash.algorithm}:{self.hash.hex}:".encode("ascii"))
        return _make_store_path(store_dir, "output:out", inner.hexdigest(), name)


class ContentAddressProof:
    """Hashes a NAR's bytes and events as one address demands, then compares."""

    def __init__(self, claim: ContentAddress, store_path: StorePath, references: Collection[StorePath]) -> None:
        """Prepare to prove ``claim`` of the object at ``store_path``."""
        self._claim = claim
        self._store_path = store_path
        self._others = [reference for reference in references if reference != store_path]
        self._itself = store_path in references
        algorithm = claim.hash.algorithm
        self._of_nar = claim.method is ContentAddressMethod.NAR
        self._state = HashModulo(algorithm, store_path.hash_part) if self._of_nar and self._itself else algorithm.new()

    def feed_nar(self, data: bytes) -> None:
        """Take the NAR's next bytes."""
        if self._of_nar:
            self._state.update(data)

    def feed_event(self, event: Event) -> None:
        """Take the NAR's next event; raises :class:`PermanentError` (``ca-mismatch``) where only a file can be."""
        if self._of_nar:
            return
        if isinstance(event, Contents):
            self._state.update(event.data)
        elif not isinstance(event, RegularFile) or event.executable:
            raise _mismatch(f"A {self._claim.method}: address is of one regular, not executable file.")

    def finish(self, store_dir: StoreDir) -> None:
        """Raise :class:`PermanentError` (``ca-mismatch``) unless hash and store path both follow from the bytes."""
        actual = Hash(self._claim.hash.algorithm, self._state.digest())
        if actual != self._claim.hash:
            raise _mismatch(f"The contents hash to {actual}, the address says {self._claim.hash}.")
        name = self._store_path.name
        expected = self._claim.store_path(store_dir, name, self._others, itself=self._itself)
        if expected != self._store_path:
            raise _mismatch(f"The address gives the store path {store_dir.render(expected)}.")


def _make_store_path(store_dir: StoreDir, kind: str, sha256_hex: str, name: str) -> StorePath:
    digest = hashlib.sha256(f"{kind}:sha256:{sha256_hex}:{store_dir.path}:{name}".encode("ascii")).digest()
    folded = bytearray(_PATH_HASH_SIZE)
    for position, byte in enumerate(digest):
        folded[position % _PATH_HASH_SIZE] ^= byte
    return StorePath(HashPart(nix32.encode(bytes(folded))), name)


def _mismatch(problem: str) -> PermanentError:
    return PermanentError(
        Code.CA_MISMATCH, problem, remedy="Upload the object that the address was made from.", field="CA"
    )
