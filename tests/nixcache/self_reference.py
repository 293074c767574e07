"""Store objects that mention themselves, addressed as one or the other generation of Nix does it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.store_path import NIX_STORE, HashPart, StoreDir, StorePath
from tests.nixcache.nar_model import File, Node, nar

SCRATCH = HashPart("1" * 32)
"""Stands for the hash part until it is known."""


class Addressed(NamedTuple):
    """A store object, its address and its store path."""

    ca: ContentAddress
    path: StorePath
    node: Node
    nar: bytes


def modulo(hash_part: HashPart, data: bytes, *, offsets: bool) -> bytes:
    """Blot out mention after mention, noting where each was; then hash the bytes and, from 2.35 on, the places."""
    places = b""
    at = data.find(hash_part.encode())
    while at >= 0:
        places += b"|%d" % at
        data = data[:at] + bytes(32) + data[at + 32 :]
        at = data.find(hash_part.encode())
    return hashlib.sha256(data + places if offsets else data).digest()


def addressed(
    make: Callable[[HashPart], Node],
    *,
    offsets: bool,
    method: ContentAddressMethod = ContentAddressMethod.NAR,
    store_dir: StoreDir = NIX_STORE,
    references: Sequence[StorePath] = (),
    name: str = "x",
    itself: bool = True,
) -> Addressed:
    """Return what ``make`` makes of its own hash part, called ``name``; ``itself`` tells whether that is declared."""
    draft = make(SCRATCH)
    if method is ContentAddressMethod.NAR:
        hashed = nar(draft)
    else:
        assert isinstance(draft, File)
        hashed = draft.contents
    ca = ContentAddress(method, Hash(HashAlgorithm.SHA256, modulo(SCRATCH, hashed, offsets=offsets)))
    path = ca.store_path(store_dir, name, references, itself=itself)
    node = make(path.hash_part)
    return Addressed(ca, path, node, nar(node))
