"""Store objects as a builder makes them: a directory, its NAR, the compressed file and the unsigned narinfo."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nixcache import nix32
from nixcache.compression import Compression
from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE, StorePath
from protocol.keys import NarFile
from tests.nixcache.compressed import compressed
from tests.nixcache.nar_model import File
from tests.nixcache.nar_model import nar as nar_of


@dataclass(frozen=True, slots=True)
class StoreObject:
    """What a builder uploads: ``file`` is the NAR compressed, ``narinfo`` describes it truly unless a test lies."""

    file: bytes
    narinfo: NarInfo

    @property
    def path(self) -> StorePath:
        """The store path that it claims."""
        return self.narinfo.store_path

    def claiming(self, **changes: Any) -> StoreObject:  # noqa: ANN401 - whatever a narinfo has
        """Return it with another narinfo, usually a lie."""
        return replace(self, narinfo=replace(self.narinfo, **changes))


def sha256(data: bytes) -> Hash:
    return Hash(HashAlgorithm.SHA256, hashlib.sha256(data).digest())


def store_path(name: str, salt: str = "") -> StorePath:
    """Return the store path that ``name`` has in these tests."""
    digest = hashlib.sha256(f"{name}{salt}".encode()).digest()
    return StorePath.from_base_name(f"{nix32.encode(digest[:20])}-{name}")


def pack(path: StorePath, nar: bytes, references: Sequence[StorePath], compression: Compression) -> StoreObject:
    """Return the store object at ``path`` with these NAR bytes, whatever they are."""
    file = compressed(compression, nar)
    narinfo = NarInfo(
        store_dir=NIX_STORE,
        store_path=path,
        # As our uploader names it: by the nar hash, which it knows before the upload.
        url=NarFile.of(sha256(nar), compression).url,
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
    return StoreObject(file, narinfo)


def derivation(name: str, contents: bytes = b"Derive()") -> StoreObject:
    """Return a derivation, whose path follows from its contents; the narinfo does not say so, as some stores' do."""
    address = ContentAddress(ContentAddressMethod.TEXT, sha256(contents))
    path = address.store_path(NIX_STORE, f"{name}.drv", (), itself=False)
    return pack(path, nar_of(File(contents)), (), Compression.ZSTD)


class Builder:
    """Builds directories that mention their references, as real outputs do."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._built = 0

    def build(
        self,
        name: str,
        references: Sequence[StoreObject] = (),
        *,
        text: str = "",
        compression: Compression = Compression.ZSTD,
        itself: bool = False,
    ) -> StoreObject:
        """Build ``name``; ``text`` makes the same path come out with other bytes."""
        self._built += 1
        path = store_path(name)
        mentioned = [reference.path for reference in references] + ([path] if itself else [])
        directory = self._root / str(self._built)
        (directory / "bin").mkdir(parents=True)
        (directory / "bin" / "run").write_text(
            f"{name} {text}\n" + "".join(f"{NIX_STORE.render(p)}\n" for p in mentioned)
        )
        (directory / "bin" / "run").chmod(0o755)
        (directory / "link").symlink_to("bin/run")
        return pack(path, b"".join(dump(directory)), mentioned, compression)

    def build_addressed(self, name: str) -> StoreObject:
        """Build ``name`` without references, under the path that follows from its contents."""
        nar = self.build(name, compression=Compression.NONE).file
        address = ContentAddress(ContentAddressMethod.NAR, sha256(nar))
        path = address.store_path(NIX_STORE, name, (), itself=False)
        return pack(path, nar, (), Compression.ZSTD).claiming(ca=address)
