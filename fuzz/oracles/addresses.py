"""Content addresses from the rules alone (src/libstore/store-dir-config.cc, make-content-addressed.cc), in memory."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from fuzz.oracles import archive
from fuzz.oracles.spellings import nix32
from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import RegularFile
from nixcache.store_path import HashPart, StorePath

if TYPE_CHECKING:
    from collections.abc import Collection

_STORE_DIR = "/nix/store"


def addresses(
    nar: bytes, method: ContentAddressMethod, algorithm: HashAlgorithm, itself: HashPart
) -> tuple[ContentAddress, ...]:
    """Return what the generations of Nix address ``nar`` by, the newest first; none where ``method`` cannot.

    Mentions of ``itself`` are hashed as 32 NULs each, and, by all but Nix 2.17 to 2.34, their places after it.
    """
    contents = nar if method is ContentAddressMethod.NAR else _contents(nar)
    if contents is None:
        return ()
    found = [match.start() for match in re.finditer(re.escape(itself.encode()), contents)]
    blotted = contents.replace(itself.encode(), bytes(len(itself)))
    texts = (blotted + b"".join(b"|%d" % at for at in found), blotted) if found else (blotted,)
    return tuple(ContentAddress(method, Hash(algorithm, _digest(algorithm, text))) for text in texts)


def store_path(
    claim: ContentAddress, name: str, references: Collection[StorePath], *, itself: bool
) -> StorePath | None:
    """Return the store path that follows, None where no object can have such an address and such references."""
    listed = "".join(f":{_STORE_DIR}/{path.base_name}" for path in sorted(references, key=lambda path: path.base_name))
    digest = claim.hash.digest.hex()
    algorithm = claim.hash.algorithm.value
    match claim.method, algorithm:
        case ContentAddressMethod.TEXT, "sha256":
            return None if itself else _path(f"text{listed}", digest, name)
        case ContentAddressMethod.NAR, "sha256":
            return _path(f"source{listed}{':self' if itself else ''}", digest, name)
        case (ContentAddressMethod.FLAT | ContentAddressMethod.NAR) as method, _ if not references and not itself:
            recursive = "r:" if method is ContentAddressMethod.NAR else ""
            inner = hashlib.sha256(f"fixed:out:{recursive}{algorithm}:{digest}:".encode()).hexdigest()
            return _path("output:out", inner, name)
    return None


def _path(kind: str, digest: str, name: str) -> StorePath:
    whole = hashlib.sha256(f"{kind}:sha256:{digest}:{_STORE_DIR}:{name}".encode()).digest()
    folded = bytes(whole[at] ^ (whole[at + 20] if at + 20 < len(whole) else 0) for at in range(20))
    return StorePath(HashPart(nix32(folded)), name)


def _contents(nar: bytes) -> bytes | None:
    match archive.read(nar):
        case [RegularFile(executable=False, offset=offset, size=size)]:
            return nar[offset : offset + size]
    return None


def _digest(algorithm: HashAlgorithm, data: bytes) -> bytes:
    return hashlib.new(algorithm.value, data, usedforsecurity=False).digest()
