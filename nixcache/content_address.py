"""Content addresses, and the store path that follows (src/libstore/content-address.cc, store-dir-config.cc).

What an address must be made of is taken from where clients check it: LocalStore::addToStore (local-store.cc).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from nixcache import nix32
from nixcache.errors import Code, PermanentError
from nixcache.hash_modulo import HashModulo
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import Event, RegularFile
from nixcache.store_path import HashPart, StoreDir, StorePath

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_PATH_HASH_SIZE = 20
# SRI's dash is no colon: clients read a hash here in every encoding but SRI.
_ADDRESS = re.compile(f"(text|fixed|fixed:r):((?:{'|'.join(HashAlgorithm)}):.*)", re.DOTALL)


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
        """Read ``text:``, ``fixed:`` or ``fixed:r:``, then ``<algorithm>:<Nix32, hex or base64>``.

        Raises :class:`PermanentError` (``content-address-malformed``, ``hash-malformed``). ``fixed:git:`` and BLAKE3
        are refused: clients read them only with experimental features switched on, older ones never.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise PermanentError(
                Code.CONTENT_ADDRESS_MALFORMED,
                f"{text[:100]!r} is not a content address that every client reads.",
                remedy="It is text:, fixed: or fixed:r:, then md5:, sha1:, sha256: or sha512:, then the digest.",
            )
        method, named_hash = match.groups()
        return cls(ContentAddressMethod(method), Hash.parse(named_hash))

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
    """Hashes a NAR's bytes as one address demands, then compares."""

    def __init__(self, claim: ContentAddress | None, store_path: StorePath, references: Collection[StorePath]) -> None:
        """Prepare to prove ``claim`` of the object at ``store_path``.

        Without a claim, prove the ``text:`` address that every derivation has, whether its narinfo says so or not.
        """
        self._claim = claim
        self._store_path = store_path
        self._others = [reference for reference in references if reference != store_path]
        self._itself = store_path in references
        self._method = claim.method if claim else ContentAddressMethod.TEXT
        self._algorithm = claim.hash.algorithm if claim else HashAlgorithm.SHA256
        # Clients blot out the path's own hash part whatever the method, and whether or not the path is a reference.
        self._state = HashModulo(self._algorithm, store_path.hash_part)
        self._is_file = True
        self._offset = 0  # of the next byte of the NAR
        self._contents = range(0)  # where in the NAR the file's contents are, once that is known

    def feed(self, piece: bytes, events: Iterable[Event]) -> None:
        """Take the NAR's next bytes and the events that they complete."""
        if self._method is ContentAddressMethod.NAR:
            self._state.update(piece)
            return
        for event in events:
            # Clients let an executable file pass. But no Nix makes such a path: the address does not cover that bit.
            if not isinstance(event, RegularFile) or event.executable:
                # Said at the end: the parser may find a fault further on, and does, or not yet, by how the NAR is cut.
                self._is_file = False
                return
            self._contents = range(event.offset, event.offset + event.size)
        start = max(self._contents.start - self._offset, 0)
        stop = max(self._contents.stop - self._offset, 0)
        self._state.update(piece[start:stop])
        self._offset += len(piece)

    def finish(self, store_dir: StoreDir) -> ContentAddress | None:
        """Return the address to publish, which is None where clients disagree on what it should be.

        That is so for an object that mentions its own hash part: whichever address it has, some client refuses it, and
        every client takes it under a signature alone (docs/adr/0043).

        Raises :class:`PermanentError` (``ca-mismatch``) unless hash and store path both follow from the bytes.
        """
        if not self._is_file:
            raise _mismatch(f"A {self._method}: address is of one regular, not executable file.")
        digests = self._state.digests()
        if self._store_path.is_derivation and len(digests) > 1:
            # No Nix writes one. Its address would not be published, and its path could stand for two contents.
            raise _mismatch("A derivation never mentions itself.")
        address = self._claim or ContentAddress(self._method, Hash(self._algorithm, digests[0]))
        if address.hash.digest not in digests:
            actual = Hash(self._algorithm, digests[0])
            raise _mismatch(f"The contents hash to {actual}, the address says {address.hash}.")
        expected = address.store_path(store_dir, self._store_path.name, self._others, itself=self._itself)
        if expected != self._store_path:
            raise _mismatch(f"The address gives the store path {store_dir.render(expected)}.")
        return address if len(digests) == 1 else None


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
