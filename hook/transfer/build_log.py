"""The build log that Nix keeps of a derivation, found where Nix puts it, sent as it lies there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nixcache.store_path import StorePath

MAX_LOG_SIZE: Final = 64 * 1024 * 1024
"""Bytes in the file. A larger log stays where it is."""
_DEFAULT_LOG_DIR: Final = "/nix/var/log/nix"
_ENCODINGS: Final = {".bz2": "bzip2", "": ""}
"""By what follows the name, as Nix itself names them in ``Content-Encoding``."""


@dataclass(frozen=True, slots=True)
class BuildLog:
    """A log's file, its size in bytes, and the encoding it is in, or nothing."""

    path: Path
    size: int
    encoding: str

    def read(self) -> bytearray:
        """Return what is in it, no more than ``size`` bytes; raises OSError."""
        data = bytearray(self.size)
        with self.path.open("rb") as file:
            del data[file.readinto(data) :]
        return data


def build_log(deriver: StorePath, environ: Mapping[str, str] = os.environ) -> BuildLog | None:
    """Return the log of ``deriver``, if this machine has one that is not too large.

    ``drvs/<two characters of the base name>/<the rest>`` below ``NIX_LOG_DIR``, compressed with bzip2 unless
    ``compress-build-log`` is off (src/libstore/local-fs-store.cc).
    """
    directory = Path(environ.get("NIX_LOG_DIR") or _DEFAULT_LOG_DIR) / "drvs" / deriver.base_name[:2]
    for suffix, encoding in _ENCODINGS.items():
        path = directory / f"{deriver.base_name[2:]}{suffix}"
        try:
            size = path.stat().st_size
        except OSError:
            continue
        return BuildLog(path, size, encoding) if 0 < size <= MAX_LOG_SIZE else None
    return None
