"""A binary cache in a directory, as clients open it with ``file://``."""

from __future__ import annotations

from pathlib import Path

from nixcache.narinfo import NarInfo
from nixcache.store_path import HashPart, StoreDir


class Cache:
    """A directory that narinfos and NARs are put into, whatever they hold."""

    def __init__(self, directory: Path, store_dir: StoreDir) -> None:
        """Make an empty cache for ``store_dir``."""
        self.directory = directory
        (directory / "nar").mkdir(parents=True)
        (directory / "nix-cache-info").write_text(f"StoreDir: {store_dir.path}\n")

    def put(self, narinfo: NarInfo, file: bytes) -> None:
        """Write ``narinfo``, and ``file`` where its URL says."""
        self.put_text(narinfo.store_path.hash_part, narinfo.render(), url=narinfo.url, file=file)

    def put_text(self, hash_part: HashPart, narinfo: bytes, *, url: str, file: bytes) -> None:
        """Write a narinfo that may be anything, and ``file`` where its URL would say if it told the truth."""
        (self.directory / url).write_bytes(file)
        (self.directory / f"{hash_part}.narinfo").write_bytes(narinfo)
