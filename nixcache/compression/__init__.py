"""Compression methods behind one interface that never returns more than :data:`MAX_PIECE_SIZE` bytes at once.

Accepted is what every Nix client decompresses to the same bytes: frames, streams or members after one another,
skippable and empty zstd frames, xz stream padding. Refused is what any of them refuses: truncation, wrong checksums, a
window that clients cannot allocate. So is what clients pass over unread: nothing may follow the last frame, lest a file
hold what nobody proved.
"""

from __future__ import annotations

from nixcache.compression.compressor import compress
from nixcache.compression.decompressor import READABLE, Decompressor, decompressor
from nixcache.compression.frames import MAX_FRAMES, MAX_PIECE_SIZE
from nixcache.compression.method import Compression

__all__ = ["MAX_FRAMES", "MAX_PIECE_SIZE", "READABLE", "Compression", "Decompressor", "compress", "decompressor"]
