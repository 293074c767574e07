"""Brotli (RFC 7932), without its large windows: 16 MiB is the most that a stream can ask for."""

from __future__ import annotations

from typing import Final, Protocol

import brotli

from nixcache.compression.codec import FrameFormat


class _Decoder(Protocol):
    def process(self, data: bytes, *, output_buffer_limit: int) -> bytes: ...
    def can_accept_more_data(self) -> bool: ...
    def is_finished(self) -> bool: ...


class _Stream:
    """Gives brotli's decompressor the shape of the others; it refuses what follows the stream by itself."""

    unused_data = b""

    def __init__(self) -> None:
        self._decoder: _Decoder = brotli.Decompressor()
        self.eof = False
        self.needs_input = True

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        # Its buffer grows until it has reached the limit, by four times as much each time: not *to* the limit.
        piece = self._decoder.process(data, output_buffer_limit=max_length // 4)
        self.eof = self._decoder.is_finished()
        # It may hold back output although it has taken all input: only an empty piece says that it has not.
        self.needs_input = not piece and self._decoder.can_accept_more_data()
        return piece


BR: Final = FrameFormat(frame="stream", error=brotli.error, open_file=lambda: _Stream, several=False)
