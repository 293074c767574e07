"""Store objects of all sizes, made in memory: what a builder uploads."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from nixcache.compression import Compression, compress
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE, StorePath
from protocol.keys import NarFile

_MEDIAN_SIZE: Final = 12_000
_SPREAD: Final = 1.6
"""Of the logarithm of sizes: one path in a hundred is 40 times as large as the median."""
_SIZES: Final = range(1_000, 4_000_000)
_POOL_SIZE: Final = 8_000_000
_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The bytes of a NAR's file, and a narinfo that says what is in it, truly or not."""

    narinfo: NarInfo
    file: bytes

    @property
    def store_path(self) -> StorePath:
        """The one that it claims."""
        return self.narinfo.store_path

    def claiming(self, narinfo: NarInfo) -> Uploaded:
        """Return the same bytes under another narinfo."""
        return replace(self, narinfo=narinfo)


class Workshop:
    """Packs store objects; their contents are cut out of one pool of words that are as compressible as programs."""

    def __init__(self, directory: Path, chooser: random.Random) -> None:
        """Work in ``directory``, which is empty."""
        self._directory = directory
        self._chooser = chooser
        words = [chooser.randbytes(chooser.randrange(1, 7)).hex().encode() for _ in range(4000)]
        self._pool = b" ".join(chooser.choices(words, k=_POOL_SIZE // 7))
        (directory / "bin").mkdir()
        (directory / "share").mkdir()

    def size(self) -> int:
        """Return the size that a path may have, in bytes."""
        drawn = int(self._chooser.lognormvariate(math.log(_MEDIAN_SIZE), _SPREAD))
        return min(max(drawn, _SIZES.start), _SIZES.stop)

    def pack(self, store_path: StorePath, references: Sequence[StorePath], size: int) -> Uploaded:
        """Return ``store_path`` with about ``size`` bytes in it, which mention each of ``references``."""
        start = self._chooser.randrange(len(self._pool) - size)
        (self._directory / "bin" / "run").write_text("".join(f"{NIX_STORE.render(path)}\n" for path in references))
        (self._directory / "share" / "data").write_bytes(self._pool[start : start + size])
        return uploaded(store_path, references, b"".join(dump(self._directory)))


def uploaded(store_path: StorePath, references: Sequence[StorePath], nar: bytes) -> Uploaded:
    """Return ``nar`` under ``store_path``, compressed, with a narinfo as our uploader writes it."""
    nar_hash = Hash(HashAlgorithm.SHA256, hashlib.sha256(nar).digest())
    narinfo = NarInfo(
        store_dir=NIX_STORE,
        store_path=store_path,
        url=NarFile.of(nar_hash, Compression.ZSTD).url,
        compression=Compression.ZSTD,
        file_hash=None,
        file_size=None,
        nar_hash=nar_hash,
        nar_size=len(nar),
        references=tuple(sorted(references)),
        deriver=None,
        signatures=(),
        ca=None,
    )
    return Uploaded(narinfo, b"".join(compress(Compression.ZSTD, [nar], level=_LEVEL)))
