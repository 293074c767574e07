"""Mutations of a submission, put right again: what is changed inside it is still what its narinfo says of it.

Blind changes end at the first wrong hash, and nothing behind that is ever reached.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from typing import TYPE_CHECKING

from fuzz.decompression import decompress
from fuzz.mutators.archives import mutate_archive, strings
from fuzz.mutators.compressed import compressed, frame, mutate_compressed
from fuzz.mutators.lines import mutate_lines
from fuzz.oracles import addresses
from fuzz.oracles.archive import encode
from nixcache.compression import Compression
from nixcache.content_address import ContentAddressMethod
from nixcache.errors import PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE, HashPart, StorePath

if TYPE_CHECKING:
    from fuzz.target import Bytewise

_METHODS = (Compression.NONE, Compression.ZSTD, Compression.XZ, Compression.BZIP2, Compression.GZIP, Compression.BR)
_MOST_PLAIN = 32 * 1024
_BLIND = 0.2
_PATHS = tuple(
    StorePath(HashPart(digit * 32), name) for digit, name in (("a", "x"), ("b", "lib.drv"), ("c", "x"), ("z", "-"))
)


def mutate_submission(data: bytes, source: random.Random, bytewise: Bytewise) -> bytes:
    """Return ``data`` (a narinfo, an empty line, a file) with something changed, and mostly put right again."""
    head, _, file = data.partition(b"\n\n")
    try:
        claim = NarInfo.parse(head + b"\n", NIX_STORE)
        nar = decompress(claim.compression, [file], enough=_MOST_PLAIN).data
    except PermanentError:
        return bytewise(data)
    match source.randrange(8):
        case 0:
            return bytewise(data)
        case 1:
            return mutate_lines(head, source, bytewise) + b"\n\n" + file
        case 2 if claim.compression in _METHODS:
            file = mutate_compressed(claim.compression, file, source, bytewise)
            nar = decompress(claim.compression, [file], enough=_MOST_PLAIN).data
            return _submission(_about(claim, file, nar), file)
        case 3:
            claim = dataclasses.replace(claim, compression=source.choice(_METHODS))
        case 4:
            path = source.choice((*_PATHS, claim.store_path))
            claim = dataclasses.replace(claim, references=tuple(sorted({*claim.references, path})))
            nar = _mentioning(nar, path, source)
        case 5:
            claim = dataclasses.replace(claim, references=claim.references[1:])
        case 6:
            claim, nar = _addressed(claim, nar, source)
        case _:
            nar = mutate_archive(nar, source, bytewise)
            if source.random() >= _BLIND and claim.ca:
                claim, nar = _addressed(claim, nar, source)
    file = source.choice((frame, frame, compressed))(claim.compression, nar, source)
    return _submission(claim if source.random() < _BLIND else _about(claim, file, nar), file)


def _submission(claim: NarInfo, file: bytes) -> bytes:
    return claim.render() + b"\n" + file


def _about(claim: NarInfo, file: bytes, nar: bytes) -> NarInfo:
    """Return ``claim`` with the right hashes and sizes."""
    return dataclasses.replace(
        claim,
        file_hash=_sha256(file),
        file_size=len(file),
        nar_hash=_sha256(nar),
        nar_size=max(1, len(nar)),
    )


def _addressed(claim: NarInfo, nar: bytes, source: random.Random) -> tuple[NarInfo, bytes]:
    """Return the submission of the same object where its content address puts it; as it was, if it has none."""
    method = source.choice(tuple(ContentAddressMethod))
    algorithm = source.choice((HashAlgorithm.SHA256, *HashAlgorithm))
    found = addresses.addresses(nar, method, algorithm, claim.store_path.hash_part)
    others = [path for path in claim.references if path != claim.store_path]
    itself = len(others) < len(claim.references)
    address = source.choice(found) if found else None
    path = addresses.store_path(address, claim.store_path.name, others, itself=itself) if address else None
    if path is None:
        return claim, nar
    references = tuple(sorted([*others, path])) if itself else claim.references
    # A derivation has its address whether it says so or not.
    shown = None if source.random() < _BLIND else address
    nar = nar.replace(claim.store_path.hash_part.encode(), path.hash_part.encode())
    return dataclasses.replace(claim, store_path=path, references=references, ca=shown), nar


def _mentioning(nar: bytes, path: StorePath, source: random.Random) -> bytes:
    """Return ``nar`` with a mention of ``path`` in one of its files or targets."""
    words = strings(nar)
    places = [at + 1 for at, word in enumerate(words[:-1]) if word in {b"contents", b"target"}]
    if places:
        words[source.choice(places)] += NIX_STORE.render(path).encode()
    return encode(words)


def _sha256(data: bytes) -> Hash:
    return Hash(HashAlgorithm.SHA256, hashlib.sha256(data).digest())
