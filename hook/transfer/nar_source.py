"""The bytes of a NAR, from whoever is faster, proven at their end to be those that Nix's database speaks of."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hook.errors import BuilderCode
from hook.nix_store import DumpFailedError, vanished
from nixcache import nar
from nixcache.errors import PermanentError
from nixcache.hashes import Hash, HashAlgorithm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hook.nix_store import NixStore, PathInfo

OWN_WRITER_UP_TO: Final = 4 * 1024 * 1024
"""Bytes of NAR. Starting ``nix-store`` takes 25 ms, in which our own writer has written 4 MiB however small the files
are; beyond, a tree of small files is written faster by Nix."""
_BATCH_SIZE: Final = 256 * 1024


@contextmanager
def nar_source(nix_store: NixStore, info: PathInfo) -> Iterator[Iterator[bytes]]:
    """Give the NAR of ``info`` in chunks; the last ``next`` raises unless they are what the database says.

    Raises :class:`PermanentError` (``path-corrupt``, ``path-vanished``) and :class:`DumpFailedError`.
    """
    # On macOS Nix strips what its case hack has added to file names; so it alone knows the NAR.
    if info.nar_size <= OWN_WRITER_UP_TO and sys.platform != "darwin":
        yield _proven(_batched(_own(nix_store.store_dir.render(info.store_path))), info)
        return
    with nix_store.dump(info.store_path) as chunks:
        yield _proven(chunks, info)


def _own(full_path: str) -> Iterator[bytes]:
    try:
        yield from nar.dump(full_path)
    except (OSError, PermanentError) as error:
        if not os.path.lexists(full_path):
            raise vanished(full_path) from error
        # It may have been replaced, or the disk may be failing: a refusal would let go of the path's root.
        said = error.problem if isinstance(error, PermanentError) else f"{error.strerror or error}: {error.filename}."
        raise DumpFailedError(
            f"{full_path} cannot be read: {said}", remedy="Try nix-store --dump on it, should it fail every time."
        ) from error


def _batched(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Join what is small: a writer yields each tag by itself, and a hash or a queue has a price for each call."""
    batch: list[bytes] = []
    size = 0
    for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= _BATCH_SIZE:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


def _proven(chunks: Iterable[bytes], info: PathInfo) -> Iterator[bytes]:
    sha256 = hashlib.sha256()
    size = 0
    for chunk in chunks:
        sha256.update(chunk)
        size += len(chunk)
        if size > info.nar_size:
            # No further: memory and parts were counted for what the database says.
            break
        yield chunk
    if size != info.nar_size or Hash(HashAlgorithm.SHA256, sha256.digest()) != info.nar_hash:
        raise PermanentError(
            BuilderCode.PATH_CORRUPT,
            f"{info.store_path.base_name} is not what Nix's database says it is; it was not submitted.",
            remedy="Run nix-store --verify --check-contents --repair.",
        )
