"""The compression methods that Nix knows, and how each names its files."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Compression(StrEnum):
    """Every method name that Nix knows (src/libutil/compression.cc), readable here or not."""

    NONE = "none"
    BR = "br"
    BZIP2 = "bzip2"
    COMPRESS = "compress"
    GRZIP = "grzip"
    GZIP = "gzip"
    LRZIP = "lrzip"
    LZ4 = "lz4"
    LZIP = "lzip"
    LZMA = "lzma"
    LZOP = "lzop"
    XZ = "xz"
    ZSTD = "zstd"

    @property
    def extension(self) -> str:
        """What follows ``.nar`` in a NAR's file name, dot included (src/libstore/binary-cache-store.cc).

        Empty for most: a file in gzip is named as one that is not compressed at all, and only its narinfo tells.
        """
        return _EXTENSIONS.get(self, "")


_EXTENSIONS: Final = {
    Compression.BR: ".br",
    Compression.BZIP2: ".bz2",
    Compression.LZ4: ".lz4",
    Compression.LZIP: ".lzip",
    Compression.XZ: ".xz",
    Compression.ZSTD: ".zst",
}
