"""A file of frames one after another, whatever their format, in bounded pieces.

Time is linear in the file's size, however small its frames: a codec copies what was handed in behind its frame's end,
so it is handed little at first, and more the longer the frame turns out to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nixcache.compression.codec import Codec, FrameFormat
from nixcache.errors import Code, PermanentError

MAX_PIECE_SIZE: Final = 1024 * 1024
"""Bytes that one step of a decompressor yields at the most, however small its input: a bomb goes off in small puffs."""
MAX_FRAMES: Final = 100_000
"""Frames in one file. Each costs a codec, so a file of empty frames would buy hours of CPU for megabytes."""
_FIRST_SLICE_SIZE: Final = 4 * 1024
_LAST_SLICE_SIZE: Final = 128 * 1024


class Frames:
    """Decompresses a file of one format."""

    def __init__(self, form: FrameFormat) -> None:
        """Expect a file of ``form`` from its first byte on."""
        self._form = form
        self._next_codec = form.open_file()
        self._codec: Codec | None = None
        self._frames = 0
        self._padding = 0
        self._offset = 0
        self._slice_size = _FIRST_SLICE_SIZE

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` decompresses to, in pieces of 1 to :data:`MAX_PIECE_SIZE` bytes.

        Raises :class:`PermanentError` (``compressed-data-malformed``, ``too-large``). Its offset is where the slice
        begins, of 128 KiB or less, at which the codec refused to go on; where a checksum is wrong, the damage may be
        anywhere before.
        """
        start = 0
        while start < len(data):
            piece = data[start : start + self._slice_size]
            self._slice_size = min(2 * self._slice_size, _LAST_SLICE_SIZE)
            used = self._skip_padding(piece)
            if not used:
                codec = self._codec or self._start_frame()
                yield from self._decompress(codec, piece)
                used = len(piece)
                if codec.eof:
                    used -= len(codec.unused_data)
                    self._codec = None
            start += used
            self._offset += used

    def close(self) -> None:
        """Say that no more data comes; raises :class:`PermanentError` (``compressed-data-malformed``) if too early."""
        if self._frames == 0:
            raise self._malformed("There is no data.")
        if self._codec is not None:
            raise self._malformed(f"The data ends inside a {self._form.frame}.")
        self._check_padding()

    def _decompress(self, codec: Codec, data: bytes) -> Iterator[bytes]:
        while True:
            try:
                piece = codec.decompress(data, MAX_PIECE_SIZE)
            except self._form.error as error:
                raise self._malformed(f"The codec says: {error}.") from error
            if piece:
                yield piece
            if codec.eof or codec.needs_input:
                return
            data = b""

    def _start_frame(self) -> Codec:
        self._check_padding()
        if self._frames and not self._form.several:
            raise self._malformed(f"Something follows the {self._form.frame}.")
        if self._frames == MAX_FRAMES:
            raise PermanentError(
                Code.TOO_LARGE,
                f"The file has more than {MAX_FRAMES} {self._form.frame}s.",
                remedy=f"Compress the NAR as one {self._form.frame}.",
                field="URL",
                offset=self._offset,
            )
        self._frames += 1
        self._slice_size = _FIRST_SLICE_SIZE
        self._codec = self._next_codec()
        return self._codec

    def _skip_padding(self, data: bytes) -> int:
        if not self._form.padding or not self._frames or self._codec is not None:
            return 0
        skipped = len(data) - len(data.lstrip(b"\0"))
        self._padding += skipped
        return skipped

    def _check_padding(self) -> None:
        if self._form.padding and self._padding % self._form.padding:
            padding = f"{self._form.frame.capitalize()} padding"
            raise self._malformed(f"{padding} comes in multiples of {self._form.padding} bytes.")

    def _malformed(self, problem: str) -> PermanentError:
        return PermanentError(
            Code.COMPRESSED_DATA_MALFORMED,
            problem,
            remedy="Compress the NAR again and upload it whole.",
            field="URL",
            offset=self._offset,
        )
