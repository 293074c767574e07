"""The block headers of a zstd frame (RFC 8878, section 3.1.1), read beside the codec for what it does not refuse."""

from __future__ import annotations

from typing import Final

_MAGIC_SIZE: Final = 4
_BLOCK_HEADER_SIZE: Final = 3
_DICTIONARY_ID_SIZES: Final = (0, 1, 2, 4)
_CONTENT_SIZE_SIZES: Final = (0, 2, 4, 8)
_RLE, _COMPRESSED = 1, 2
_SINGLE_SEGMENT: Final = 0x20
_TWO_BYTES: Final = 2
_SMALLEST_IN_TWO_BYTES: Final = 256


class BlockWalker:
    """Walks from block to block of one data frame, however it is cut."""

    def __init__(self) -> None:
        """Start before the frame's magic number."""
        self.content_size: int | None = None
        """What the frame's header says of it in bytes; None if nothing, or as long as it has not been read."""
        self._skip = _MAGIC_SIZE
        self._header = b""
        self._header_size = 1  # of what comes next: the frame's descriptor, the rest of its header, or a block's header
        self._descriptor: int | None = None
        self._in_blocks = False
        self._ended = False

    def feed(self, data: bytes) -> bool:
        """Walk over the frame's next bytes, and whatever follows it; False for a compressed block of no bytes.

        libzstd refuses such a block in a frame that it has before it whole, and takes it for an empty one in a frame
        that comes in pieces. Clients see small frames whole.
        """
        position = 0
        while not self._ended:
            position += self._skip
            if position >= len(data):
                self._skip = position - len(data)
                return True
            self._skip = 0
            end = position + self._header_size - len(self._header)
            self._header += data[position:end]
            if len(self._header) < self._header_size:
                return True
            position = end
            header, self._header = self._header, b""
            if self._descriptor is None:
                self._descriptor = header[0]
                self._header_size = _rest_of_frame_header(self._descriptor)
                continue
            if not self._in_blocks:
                self.content_size = _content_size(self._descriptor, header)
                self._header_size = _BLOCK_HEADER_SIZE
                self._in_blocks = True
                continue
            block = int.from_bytes(header, "little")
            kind, size = block >> 1 & 3, block >> 3
            if kind == _COMPRESSED and not size:
                return False
            self._ended = bool(block & 1)
            self._skip = 1 if kind == _RLE else size
        return True


def _rest_of_frame_header(descriptor: int) -> int:
    has_window = not descriptor & _SINGLE_SEGMENT
    return int(has_window) + _DICTIONARY_ID_SIZES[descriptor & 3] + _content_size_size(descriptor)


def _content_size_size(descriptor: int) -> int:
    return _CONTENT_SIZE_SIZES[descriptor >> 6] or int(bool(descriptor & _SINGLE_SEGMENT))


def _content_size(descriptor: int, rest_of_header: bytes) -> int | None:
    length = _content_size_size(descriptor)
    if not length:
        return None
    size = int.from_bytes(rest_of_header[-length:], "little")
    return size + _SMALLEST_IN_TWO_BYTES if length == _TWO_BYTES else size
