"""Ways to cut an input into the pieces that a reader may get it in."""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZES = (0, 1, 2, 7, 8, 9, 31, 32, 33, 64, 255, 1024)


def cuts(data: bytes, *, bytewise_up_to: int = 1024) -> Iterator[list[bytes]]:
    """Yield ``data`` whole, byte by byte (unless it is longer than that), and in pieces of random sizes, some empty.

    The sizes come from the data's own checksum: a file is the whole of a test case, with nothing beside it.
    """
    yield [data]
    if len(data) <= bytewise_up_to:
        yield [data[at : at + 1] for at in range(len(data))]
    source = random.Random(zlib.crc32(data))
    for _ in range(2):
        yield list(_pieces(data, source))


def _pieces(data: bytes, source: random.Random) -> Iterator[bytes]:
    # The last size is so large that the pieces stay few however long the data is.
    sizes = (*source.sample(_SIZES, 3), 1 + len(data) // 8)
    start = 0
    while start < len(data):
        size = source.choice(sizes)
        yield data[start : start + size]
        start += size
