"""One machine that builds, the service that judges, and machines that install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from local.service import LocalService
from nixcache.narinfo import NarInfo
from nixcache.signature import PublicKey
from nixcache.store_path import StorePath
from protocol.keys import StagingNarInfoKey
from tests.matrix.machine import Installation, Machine, Nix


@dataclass(frozen=True)
class World:
    """A service and the machine that builds for it; ``readers`` are the installations that then install."""

    service: LocalService
    machine: Machine
    readers: tuple[Installation, ...]
    root: Path
    _numbers: Iterator[int] = field(default_factory=count)

    def published(self, path: StorePath) -> NarInfo | None:
        """Return the narinfo that any client gets, if there is one."""
        try:
            with urlopen(f"{self.service.cache_url}/{path.hash_part}.narinfo") as response:  # noqa: S310 - our own address
                return NarInfo.parse(response.read(), self.machine.store_dir)
        except HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return None

    def is_signed(self, path: StorePath) -> bool:
        """Whether the path is published under Assay's key."""
        narinfo = self.published(path)
        return narinfo is not None and narinfo.is_signed_by(self.service.deployment.public_key)

    def address(self, path: StorePath) -> str:
        """Return the content address of a published path, empty if it has none."""
        narinfo = self.published(path)
        assert narinfo
        return str(narinfo.ca or "")

    def versions(self, path: StorePath) -> int:
        """How often the narinfo of ``path`` was written in staging."""
        s3 = self.service.aws.client("s3", self.service.deployment.operator)
        settings = self.service.deployment.settings
        (builder,) = self.service.deployment.builders
        found = s3.list_object_versions(
            Bucket=settings.staging_bucket, Prefix=str(StagingNarInfoKey(builder, path.hash_part))
        )
        return len(found["Versions"])

    @contextmanager
    def reader(self, installation: Installation, *, key: PublicKey | None = None) -> Iterator[Nix]:
        """An empty store that takes from this cache alone, trusts Assay's key (or ``key``) alone, builds nothing."""
        directory = self.root / f"reader-{next(self._numbers)}"
        settings = {
            "substituters": self.service.cache_url,
            "trusted-public-keys": str(key or self.service.deployment.public_key),
            "require-sigs": "true",
            "fallback": "false",
            "max-jobs": "0",
        }
        reader = Nix(installation, directory, self.machine.store_dir, settings, physical=directory / "root")
        with reader.running():
            yield reader
