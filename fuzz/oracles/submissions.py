"""Whether all that a narinfo claims of a file is so, and what else there is to say of it: the whole proof in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fuzz.oracles import addresses, archive, mentions
from fuzz.oracles.build_ids import build_ids
from fuzz.oracles.listings import listing
from nixcache.content_address import ContentAddressMethod
from nixcache.hashes import HashAlgorithm
from nixcache.references import MAX_UNDECLARED

if TYPE_CHECKING:
    from nixcache.content_address import ContentAddress
    from nixcache.narinfo import NarInfo


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a submission whose NAR is well-formed and has the claimed hashes, sizes and address."""

    ca: ContentAddress | None
    listing: bytes | None
    build_ids: tuple[str, ...]
    unmentioned: tuple[str, ...]
    undeclared: tuple[str, ...]
    more_undeclared: bool


def truth(claim: NarInfo, file: bytes, nar: bytes) -> Truth | None:
    """Return what is true of ``file``, which decompresses to ``nar``; None where something that is claimed is not."""
    events = archive.read(nar)
    if events is None or not _has_sizes_and_hashes(claim, file, nar):
        return None
    ca = None
    if claim.ca or claim.store_path.name.endswith(".drv"):
        found = _addresses(claim, nar)
        if not found:
            return None
        ca = found[0] if len(found) == 1 else None
    declared = frozenset(path.hash_part.encode() for path in claim.references)
    undeclared = [name.decode() for name in mentions.undeclared(nar, claim.store_dir.path.encode(), declared)]
    itself = claim.store_path.hash_part
    return Truth(
        ca=ca,
        listing=listing(events),
        build_ids=build_ids(events),
        unmentioned=tuple(path.base_name for path in claim.references if path.hash_part.encode() not in nar),
        undeclared=tuple(name for name in undeclared[:MAX_UNDECLARED] if not name.startswith(itself)),
        more_undeclared=len(undeclared) > MAX_UNDECLARED,
    )


def _has_sizes_and_hashes(claim: NarInfo, file: bytes, nar: bytes) -> bool:
    return (
        claim.nar_size == len(nar)
        and claim.nar_hash.digest == hashlib.sha256(nar).digest()
        and (claim.file_size is None or claim.file_size == len(file))
        and (claim.file_hash is None or claim.file_hash.digest == hashlib.sha256(file).digest())
    )


def _addresses(claim: NarInfo, nar: bytes) -> tuple[ContentAddress, ...]:
    """Return what the generations of Nix address ``nar`` by; nothing, if what is claimed is none of it."""
    others = [path for path in claim.references if path != claim.store_path]
    itself = len(others) < len(claim.references)
    method = claim.ca.method if claim.ca else ContentAddressMethod.TEXT
    algorithm = claim.ca.hash.algorithm if claim.ca else HashAlgorithm.SHA256
    found = addresses.addresses(nar, method, algorithm, claim.store_path.hash_part)
    claimed = claim.ca or (found[0] if found else None)
    if claimed is None or claimed not in found:
        return ()
    path = addresses.store_path(claimed, claim.store_path.name, others, itself=itself)
    return found if path == claim.store_path else ()
