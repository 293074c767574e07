"""What a decompressor takes: ``python -m tests.nixcache.codec_memory METHOD`` prints by how many MiB the process grows.

A process of its own, because a peak never falls again; the codec's memory, which no tracer of Python sees, counts. Each
file asks for the largest window that is allowed, and is larger than that.
"""

from __future__ import annotations

import bz2
import lzma
import sys
from pathlib import Path

import brotli

from nixcache.compression import Compression, decompressor
from tests.nixcache.compressed import gzip_member, zstd_encoder

_DATA = bytes(160 * 1024 * 1024)


def _file(method: Compression) -> bytes:
    match method:
        case Compression.ZSTD:
            encoder = zstd_encoder(window_log=27)
            return encoder.compress(_DATA) + encoder.flush()
        case Compression.XZ:
            lzma2 = {"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 96 * 1024 * 1024}
            return lzma.compress(_DATA, filters=[lzma2])
        case Compression.BZIP2:
            return bz2.compress(_DATA)
        case Compression.GZIP:
            return gzip_member(_DATA)
        case _:
            return bytes(brotli.compress(_DATA, quality=1, lgwin=24))


def _peak() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def grown(method: Compression) -> float:
    """Decompress the file of ``method``; return by how many MiB that raised the process's peak."""
    file = _file(method)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak: making the file is not what is measured
    before = _peak()
    assert sum(map(len, decompressor(method).feed(file))) == len(_DATA)
    return _peak() - before


if __name__ == "__main__":
    print(grown(Compression(sys.argv[1])))  # noqa: T201
