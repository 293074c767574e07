"""Narinfos for trees of the model, right unless a test says otherwise."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

from nixcache.compression import Compression
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE, HashPart, StorePath

SUBJECT = StorePath(HashPart("8v5wq9sk6zp7b3n2xqd1c4mmhy8fvgrc"), "hello-2.12")
ZLIB = StorePath(HashPart("0i1dya4y5gbx52zfdr9xdy6xy1pz5s5b"), "zlib-1.2.12")
GLIBC = StorePath(HashPart("1lz8y3dz4b2w3n8w0ws3dh2z7g3kv0sb"), "glibc-2.35")


def sha256(data: bytes) -> Hash:
    """Return the SHA-256 of ``data``."""
    return Hash(HashAlgorithm.SHA256, hashlib.sha256(data).digest())


def claim(
    nar: bytes,
    *,
    file: bytes | None = None,
    compression: Compression = Compression.NONE,
    references: Sequence[StorePath] = (),
    **changes: Any,  # noqa: ANN401  # any field of NarInfo, as its own type has it
) -> NarInfo:
    """Return what a truthful builder says of ``nar``, uploaded as ``file``, but for ``changes``."""
    file = nar if file is None else file
    narinfo = NarInfo(
        store_dir=NIX_STORE,
        store_path=SUBJECT,
        url="nar/whatever-the-builder-likes",
        compression=compression,
        file_hash=sha256(file),
        file_size=len(file),
        nar_hash=sha256(nar),
        nar_size=len(nar),
        references=tuple(sorted(references)),
        deriver=None,
        signatures=(),
        ca=None,
    )
    return dataclasses.replace(narinfo, **changes)
