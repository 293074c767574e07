"""One NAR on its way: frames are compressed while others are read, and parts sent while others are compressed.

One thread reads, hashes and decides; two pools compress and send. The bytes of an object depend on nothing but the NAR,
the packing and the version of the compressor: so after a crash the parts that the bucket has are recognised by their
hashes, and only the others are sent.
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from hook.errors import Cause, Trouble
from hook.transfer import frames
from hook.transfer.pace import StoppedError
from hook.transfer.staging import NAR_CONTENT_TYPE, UploadGoneError
from nixcache.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor, Future
    from threading import Event

    from hook.transfer.budget import Share
    from hook.transfer.multipart import Multiparts, Part
    from hook.transfer.packing import Packing
    from hook.transfer.staging import Staging

PART_SIZE: Final = 8 * 1024 * 1024
"""Bytes. What fits goes in one request; S3 takes no part but the last below 5 MiB."""
MAX_PARTS: Final = 10_000
"""Of one multipart upload: S3's limit."""


def largest(nar_size: int) -> int:
    """Return how many bytes a NAR takes at the most once it is compressed."""
    whole, rest = divmod(nar_size, frames.FRAME_SIZE)
    return whole * frames.bound(frames.FRAME_SIZE) + (frames.bound(rest) if rest else 0)


def part_size(nar_size: int, smallest: int = PART_SIZE) -> int:
    """Return the size of the parts of a NAR: ``smallest``, or what makes :data:`MAX_PARTS` of them reach."""
    return max(smallest, -(-largest(nar_size) // MAX_PARTS))


def minimum_memory(nar_size: int, size_of_part: int) -> int:
    """Return the bytes with which an upload can go on however little more there is: a frame, and a part begun."""
    frame = frames.bound(min(nar_size, frames.FRAME_SIZE))
    return frame + size_of_part if largest(nar_size) > size_of_part else frame


def interrupted() -> Trouble:
    """Return what an upload ends with that is to stop."""
    return Trouble(Cause.MACHINE, "The upload was interrupted.", remedy="It goes on next time.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What all uploads of one process share. ``frames_ahead`` is how many frames of one NAR may wait for a core."""

    packing: Packing
    staging: Staging
    multiparts: Multiparts
    compressors: Executor
    senders: Executor
    frames_ahead: int
    stop: Event
    sent: Callable[[int], None]


class Outgoing:
    """The upload of one NAR to one key, which nobody else writes to meanwhile."""

    def __init__(self, key: str, nar_size: int, *, size_of_part: int, share: Share, means: Means) -> None:
        self._key = key
        self._nar_size = nar_size
        self._part_size = size_of_part
        self._share = share
        self._means = means
        self._compressing: deque[tuple[int, int, Future[list[bytes]]]] = deque()
        self._pieces: deque[bytes | memoryview] = deque()
        self._compressed = 0
        self._covered = 0
        """Bytes of NAR in ``_pieces``, which take ``_compressed`` bytes."""
        self._sending: dict[Future[Part], tuple[int, int, int]] = {}
        self._parts: dict[int, Part] = {}
        self._remembered: dict[int, Part] = {}
        self._upload_id = ""

    def put(self, chunks: Iterator[bytes]) -> None:
        """Upload ``chunks``; raises what they raise, :class:`Trouble` and :class:`UploadGoneError`.

        After a :class:`PermanentError` nothing is left of it; after anything else, what has arrived may be resumed.
        """
        try:
            self._read(chunks)
            while self._go_on():
                pass
            self._finish()
        except StoppedError:
            self._settle()
            raise interrupted() from None
        except PermanentError:
            self._settle()
            if self._upload_id:
                # Where this fails, it stays remembered, and is tried again when all is cleared up.
                with suppress(Trouble):
                    self._means.staging.abort(self._key, self._upload_id)
                    self._means.multiparts.end(self._key)
            raise
        except BaseException:
            self._settle()
            raise

    def _read(self, chunks: Iterator[bytes]) -> None:
        cut = frames.cut(self._until_stopped(chunks))
        missing = self._nar_size
        while missing > 0:
            size = min(missing, frames.FRAME_SIZE)
            reserved = frames.bound(size)
            self._reserve(reserved)
            frame = next(cut)
            missing -= size
            # Small ones there as well: a compressor's tables take 100 MB at high levels, so there is one for each core.
            future = self._means.compressors.submit(frames.compress, frame, self._means.packing)
            self._compressing.append((size, reserved, future))
            while len(self._compressing) > self._means.frames_ahead and self._go_on():
                pass
        # The source tells at its end whether it was what it should be.
        next(cut, None)

    def _until_stopped(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self._means.stop.is_set():
                raise interrupted()
            yield chunk

    def _reserve(self, size: int) -> None:
        while not self._share.take(size):
            if not self._go_on():
                self._share.overdraw(size)
                return

    def _go_on(self) -> bool:
        """Wait until a frame is compressed or a part is sent, and see to it; False if nothing is under way."""
        waiting = [*self._sending, *(future for _, _, future in list(self._compressing)[:1])]
        if not waiting:
            return False
        done = wait(cast("list[Future[object]]", waiting), return_when=FIRST_COMPLETED).done
        for future in [future for future in self._sending if future in done]:
            number, size, covered = self._sending.pop(future)
            self._parts[number] = future.result()
            self._share.give(size)
            self._means.sent(covered)
        while self._compressing and self._compressing[0][2].done():
            covered, reserved, compressed = self._compressing.popleft()
            self._collect(covered, reserved, compressed.result())
        return True

    def _collect(self, covered: int, reserved: int, pieces: list[bytes]) -> None:
        size = sum(map(len, pieces))
        self._share.give(reserved - size)
        self._pieces += pieces
        # The future still holds this list: what parts take out of the pieces would stay in memory.
        pieces.clear()
        self._compressed += size
        self._covered += covered
        # More than a part: what is left at the end is then never empty, and the only part that may be small.
        while self._compressed > self._part_size:
            self._send(self._part_size)

    def _send(self, size: int) -> None:
        covered = self._covered * size // self._compressed
        data = self._joined(size)
        self._covered -= covered
        if not self._upload_id:
            self._begin()
        number = len(self._parts) + len(self._sending) + 1
        future = self._means.senders.submit(self._put_part, number, data)
        self._sending[future] = number, size, covered

    def _joined(self, size: int) -> bytearray:
        """Take ``size`` bytes out of the pieces, which go one by one as they are copied."""
        data = bytearray(size)
        filled = 0
        while filled < size:
            piece = memoryview(self._pieces.popleft())
            if len(piece) > size - filled:
                self._pieces.appendleft(piece[size - filled :])
                piece = piece[: size - filled]
            data[filled : filled + len(piece)] = piece
            filled += len(piece)
        self._compressed -= size
        return data

    def _begin(self) -> None:
        if begun := self._means.multiparts.begun(self._key):
            self._upload_id = begun.upload_id
            self._remembered = dict(begun.parts)
        else:
            # A crash between these two leaves an upload that nobody remembers and that this role cannot find, for it
            # may not list: the bucket's lifecycle rule aborts it.
            self._upload_id = self._means.staging.begin(self._key)
            self._means.multiparts.begin(self._key, self._upload_id)

    def _put_part(self, number: int, data: bytearray) -> Part:
        sha256 = hashlib.sha256(data).digest()
        remembered = self._remembered.get(number)
        if remembered and (remembered.sha256, remembered.size) == (sha256, len(data)):
            return remembered
        part = self._means.staging.put_part(self._key, self._upload_id, number, data, sha256=sha256)
        self._means.multiparts.part(self._key, number, part)
        return part

    def _finish(self) -> None:
        if not self._upload_id:
            covered, size = self._covered, self._compressed
            data = self._joined(size)
            self._means.staging.put(
                self._key, data, sha256=hashlib.sha256(data).digest(), content_type=NAR_CONTENT_TYPE
            )
            self._means.sent(covered)
            return
        self._send(self._compressed)
        while self._go_on():
            pass
        try:
            self._means.staging.complete(self._key, self._upload_id, self._parts)
        except UploadGoneError:
            # It may still be there without a part that we remember: nothing can be made of it, so it begins anew.
            with suppress(Trouble):
                self._means.staging.abort(self._key, self._upload_id)
            raise
        self._means.multiparts.end(self._key)

    def _settle(self) -> None:
        """Begin nothing more, and wait for what is under way: it uses this upload's memory and its key."""
        futures = cast("list[Future[object]]", [*self._sending, *(future for _, _, future in self._compressing)])
        wait([future for future in futures if not future.cancel()])
