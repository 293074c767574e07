"""A binary cache in a directory: what is measured is read from it by ours, by the reference and by Nix alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.trees import REFERENCES
from hook.transfer.packing import DEFAULT_LEVELS
from nixcache.compression import Compression, compress
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE, StorePath

# The uploader's own level for zstd; for xz the preset that Nix takes unless it is told otherwise, which is xz's own.
_LEVELS: Final = {Compression.ZSTD: DEFAULT_LEVELS[Compression.ZSTD], Compression.XZ: None}


@dataclass(frozen=True, slots=True)
class Sample:
    """A store object in the cache at ``cache``; ``narinfo`` is not signed."""

    cache: Path
    narinfo: NarInfo

    @property
    def file(self) -> Path:
        """The compressed NAR."""
        return self.cache / self.narinfo.url

    @property
    def size(self) -> int:
        """Of the NAR, in bytes."""
        return self.narinfo.nar_size

    def delete(self) -> None:
        """Make room on the disk."""
        self.file.unlink()


class Cache:
    """Packs trees into a cache, streaming: no NAR is ever held."""

    def __init__(self, directory: Path) -> None:
        """Begin an empty cache, but for what all samples refer to: one file each."""
        self._directory = directory
        (directory / "nar").mkdir(parents=True)
        (directory / "nix-cache-info").write_text(f"StoreDir: {NIX_STORE.path}\n")
        for reference in REFERENCES:
            file = directory / "reference"
            file.write_text(reference.name)
            self.add(file, reference, references=())

    def add(
        self,
        tree: Path,
        store_path: StorePath,
        *,
        compression: Compression = Compression.ZSTD,
        references: tuple[StorePath, ...] = REFERENCES,
    ) -> Sample:
        """Pack ``tree`` as ``store_path``."""
        nar, compressed = _Meter(), _Meter()
        unnamed = self._directory / "nar" / "unnamed"
        with unnamed.open("wb") as file:
            pieces = compress(compression, nar.measured(dump(tree)), level=_LEVELS[compression])
            file.writelines(compressed.measured(pieces))
        url = f"nar/{compressed.hash.nix32}.nar{compression.extension}"
        unnamed.rename(self._directory / url)
        narinfo = NarInfo(
            store_dir=NIX_STORE,
            store_path=store_path,
            url=url,
            compression=compression,
            file_hash=compressed.hash,
            file_size=compressed.size,
            nar_hash=nar.hash,
            nar_size=nar.size,
            references=references,
            deriver=None,
            signatures=(),
            ca=None,
        )
        (self._directory / f"{store_path.hash_part}.narinfo").write_bytes(narinfo.render())
        return Sample(self._directory, narinfo)


class _Meter:
    def __init__(self) -> None:
        self._state = hashlib.sha256()
        self.size = 0

    def measured(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._state.update(piece)
            self.size += len(piece)
            yield piece

    @property
    def hash(self) -> Hash:
        return Hash(HashAlgorithm.SHA256, self._state.digest())
