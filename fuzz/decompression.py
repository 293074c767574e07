"""A decompressor run to its end, its first fault, or enough bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fuzz.contract import Refusal, outcome, require
from nixcache.compression import MAX_PIECE_SIZE, Compression, decompressor

if TYPE_CHECKING:
    from collections.abc import Iterable


class Decompressed(NamedTuple):
    """What came out, why no more did, and whether that is all: without a fault, and less than was enough."""

    data: bytes
    refusal: Refusal | None
    whole: bool


def decompress(method: Compression, pieces: Iterable[bytes], *, enough: int) -> Decompressed:
    """Feed ``pieces`` to a decompressor of ``method`` until ``enough`` bytes came out; a bomb is left alone then."""
    out = bytearray()

    def run() -> None:
        codec = decompressor(method)
        for piece in pieces:
            for produced in codec.feed(piece):
                require(0 < len(produced) <= MAX_PIECE_SIZE, "A piece is bounded, and not empty")
                out.extend(produced)
                if len(out) >= enough:
                    return
        codec.close()

    refusal = outcome(run)
    return Decompressed(bytes(out), refusal, whole=refusal is None and len(out) < enough)
