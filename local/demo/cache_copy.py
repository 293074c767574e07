"""A copy of the cache in a directory, which Nix reads as ``file://``, and what somebody in the middle can do to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from local.service import LocalService
from nixcache.compression import compress, decompressor
from nixcache.narinfo import NarInfo
from nixcache.store_path import HashPart, StoreDir, StorePath
from protocol.keys import CacheNarInfoKey


@dataclass(frozen=True, slots=True)
class CacheCopy:
    """The files below ``directory``; changes to them reach nobody but its readers."""

    directory: Path
    store_dir: StoreDir

    @classmethod
    def of(cls, service: LocalService, directory: Path) -> CacheCopy:
        """Copy every object of the cache bucket."""
        s3 = service.aws.client("s3", service.deployment.operator)
        bucket = service.deployment.settings.cache_bucket
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for found in page.get("Contents", []):
                path = directory / found["Key"]
                path.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file(bucket, found["Key"], str(path))
        return cls(directory, service.deployment.settings.store_dir)

    @property
    def url(self) -> str:
        """What goes into ``substituters``."""
        return f"file://{self.directory}"

    def narinfo(self, hash_part: HashPart) -> NarInfo:
        """Return the narinfo of a store path that the cache has."""
        return NarInfo.parse(self._narinfo_path(hash_part).read_bytes(), self.store_dir)

    def unsign(self, store_path: StorePath) -> None:
        """Take the signatures off a narinfo."""
        narinfo = self.narinfo(store_path.hash_part)
        self._narinfo_path(store_path.hash_part).write_bytes(replace(narinfo, signatures=()).render())

    def tamper(self, store_path: StorePath, old: bytes, new: bytes) -> None:
        """Replace bytes inside a NAR by as many others; it stays well-formed and well-compressed."""
        narinfo = self.narinfo(store_path.hash_part)
        path = self.directory / narinfo.url
        unpacking = decompressor(narinfo.compression)
        nar = b"".join(unpacking.feed(path.read_bytes()))
        unpacking.close()
        if len(old) != len(new) or old not in nar:
            raise ValueError(f"The NAR of {store_path.base_name} has no {old!r}, or the lengths differ.")
        path.write_bytes(b"".join(compress(narinfo.compression, [nar.replace(old, new)])))

    @contextmanager
    def kept(self, store_path: StorePath) -> Iterator[None]:
        """Undo at the end of the block what it does to a path's narinfo and NAR."""
        files = [self._narinfo_path(store_path.hash_part), self.directory / self.narinfo(store_path.hash_part).url]
        originals = [file.read_bytes() for file in files]
        yield
        for file, original in zip(files, originals, strict=True):
            file.write_bytes(original)

    def _narinfo_path(self, hash_part: HashPart) -> Path:
        return self.directory / str(CacheNarInfoKey(hash_part))
