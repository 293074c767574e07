"""A NAR in frames of 16 MiB, each compressed by itself, so that all cores have something to do.

Every Nix client reads frames (zstd) or streams (xz) after one another as one file, and so does the service.
"""

from __future__ import annotations

import lzma
import sys
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from nixcache.compression import Compression

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hook.transfer.packing import Packing

FRAME_SIZE: Final = 16 * 1024 * 1024
"""Bytes of the NAR in one frame; only the last one is smaller."""
CHUNK_SIZE: Final = 1024 * 1024
"""Bytes that a compressor is given at once."""
_WINDOW_LOG: Final = 22
"""4 MiB instead of level 3's 2: makes up for what is lost where frames begin."""
_FIRST_LEVEL_WITH_ITS_OWN_WINDOW: Final = 16
"""From here on zstd's own window is that large or larger."""
_SMALLEST_DICTIONARY: Final = 64 * 1024


class _Encoder(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def cut(chunks: Iterable[bytes], size: int = FRAME_SIZE) -> Iterator[deque[bytes]]:
    """Yield ``chunks`` regrouped into frames of exactly ``size`` bytes, the last one smaller, in a few chunks each."""
    frame: deque[bytes] = deque()
    small: list[bytes] = []
    missing, collected = size, 0
    for chunk in chunks:
        rest = chunk
        while len(rest) >= missing:
            frame.append(b"".join((*small, rest[:missing])) if small else rest[:missing])
            yield frame
            rest = rest[missing:]
            frame, small, missing, collected = deque(), [], size, 0
        if rest:
            small.append(rest)
            collected += len(rest)
            missing -= len(rest)
            if collected >= CHUNK_SIZE:
                frame.append(small[0] if len(small) == 1 else b"".join(small))
                small, collected = [], 0
    if small:
        frame.append(b"".join(small))
    if frame:
        yield frame


def bound(size: int) -> int:
    """Return how many bytes ``size`` bytes of one frame take at the most, compressed or not."""
    return size + size // 256 + 1024


def compress(frame: deque[bytes], packing: Packing) -> list[bytes]:
    """Compress one frame, whose chunks are taken out of ``frame`` on the way: memory holds each byte once."""
    if packing.compression is Compression.NONE:
        return list(frame)
    encoder = _encoder(packing, sum(map(len, frame)))
    pieces: list[bytes] = []
    while frame:
        if piece := encoder.compress(frame.popleft()):
            pieces.append(piece)
    pieces.append(encoder.flush())
    return pieces


def _encoder(packing: Packing, size: int) -> _Encoder:
    if packing.compression is Compression.XZ:
        # A dictionary larger than what there is to compress takes memory (twelve times its size) and nothing else.
        dictionary = max(_SMALLEST_DICTIONARY, min(_PRESET_DICTIONARIES[packing.level], 1 << (size - 1).bit_length()))
        filters = [{"id": lzma.FILTER_LZMA2, "preset": packing.level, "dict_size": dictionary}]
        return lzma.LZMACompressor(check=lzma.CHECK_CRC64, filters=filters)
    parameters = zstd.CompressionParameter
    # The checksum costs little and lets a client tell a damaged download before it has unpacked it.
    options: dict[int, int] = {parameters.compression_level: packing.level, parameters.checksum_flag: 1}
    if packing.level < _FIRST_LEVEL_WITH_ITS_OWN_WINDOW:
        options[parameters.window_log] = _WINDOW_LOG
    encoder = zstd.ZstdCompressor(options=options)
    encoder.set_pledged_input_size(size)
    return encoder


_PRESET_DICTIONARIES: Final = tuple(1 << log for log in (18, 20, 21, 22, 22, 23, 23, 24, 25, 26))
"""Bytes: what xz's own presets 0 to 9 take."""
