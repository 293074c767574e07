"""What one verification takes: ``python -m tests.nixcache.peak_memory MEBIBYTES`` prints the process's peak in MiB.

A process of its own, because a peak never falls again; the codec's memory, which no tracer of Python sees, counts.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from nixcache.compression import Compression
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.verify import Limits, verify
from tests.nixcache.claims import claim
from tests.nixcache.compressed import zstd_encoder
from tests.nixcache.nar_model import MAGIC, encode

_BLOCK = bytes(range(256)) * 4096


def _nar(mebibytes: int) -> Iterator[bytes]:
    size = mebibytes * len(_BLOCK)
    yield encode((MAGIC, b"(", b"type", b"regular", b"contents")) + size.to_bytes(8, "little")
    for _ in range(mebibytes):
        yield _BLOCK
    yield encode([b")"])


def peak(mebibytes: int) -> float:
    """Verify a NAR of one file in zstd with the largest window that is allowed; return the peak in MiB."""
    state, size = hashlib.sha256(), 0
    encoder = zstd_encoder(window_log=27)
    file = bytearray()
    for piece in _nar(mebibytes):
        state.update(piece)
        size += len(piece)
        file += encoder.compress(piece)
    file += encoder.flush()
    del encoder
    nar_hash = Hash(HashAlgorithm.SHA256, state.digest())
    narinfo = claim(b"", file=bytes(file), compression=Compression.ZSTD, nar_hash=nar_hash, nar_size=size)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak: making the file is not what is measured
    verify(narinfo, [bytes(file)], limits=Limits(max_expansion=2**40))
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    print(peak(int(sys.argv[1])))  # noqa: T201
