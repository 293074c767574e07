"""One store object into staging: NAR, hash, zstd and upload in one stream; the narinfo last."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from hook.errors import BuilderCode
from nixcache.compression import Compression, compress
from nixcache.content_address import ContentAddress
from nixcache.errors import PermanentError, TransientError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.narinfo import NarInfo
from protocol.keys import NarFile, StagingNarInfoKey, StagingNarKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from threading import Event

    from hook.nix_store import NixStore, PathInfo
    from hook.transfer.staging import Staged, Staging
    from protocol.keys import BuilderName


def upload(
    info: PathInfo,
    ca: str | None,
    *,
    nix_store: NixStore,
    staging: Staging,
    builder: BuilderName,
    zstd_level: int,
    stop: Event,
) -> Staged:
    """Upload the NAR of ``info``, then its narinfo. ``ca`` is the content address as Nix writes it.

    The NAR's key holds its nar hash, known from Nix's database before the first byte. Raises :class:`PermanentError`
    (``path-corrupt``, ``path-vanished``) when the bytes are not those of the database, and
    :class:`TransientError` once ``stop`` is set: nothing is then submitted.
    """
    content_address = ContentAddress.parse(ca) if ca else None
    nar_file = NarFile.of(info.nar_hash, Compression.ZSTD)
    with nix_store.dump(info.store_path) as chunks:
        pieces = compress(Compression.ZSTD, _checked(chunks, info, stop), level=zstd_level)
        staging.put_nar(StagingNarKey(builder, nar_file), pieces)
    narinfo = NarInfo(
        store_dir=nix_store.store_dir,
        store_path=info.store_path,
        url=nar_file.url,
        compression=Compression.ZSTD,
        # Two paths with equal contents share a NAR's key. Another zstd would give that key other bytes, and a file
        # hash said here would then reject the first of them; the nar hash holds for both.
        file_hash=None,
        file_size=None,
        nar_hash=info.nar_hash,
        nar_size=info.nar_size,
        references=info.references,
        deriver=info.deriver,
        signatures=(),
        ca=content_address,
    )
    return staging.put_narinfo(StagingNarInfoKey(builder, info.store_path.hash_part), narinfo.render())


def _checked(chunks: Iterable[bytes], info: PathInfo, stop: Event) -> Iterator[bytes]:
    """Pass ``chunks`` on; at their end, before an upload completes, raise unless they are what the database says."""
    sha256 = hashlib.sha256()
    size = 0
    for chunk in chunks:
        if stop.is_set():
            raise TransientError("The upload was interrupted.", remedy="It begins anew next time.")
        sha256.update(chunk)
        size += len(chunk)
        yield chunk
    if size != info.nar_size or Hash(HashAlgorithm.SHA256, sha256.digest()) != info.nar_hash:
        raise PermanentError(
            BuilderCode.PATH_CORRUPT,
            f"{info.store_path.base_name} is not what Nix's database says it is; it was not submitted.",
            remedy="Run nix-store --verify --check-contents --repair.",
        )
