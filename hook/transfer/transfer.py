"""One store object into staging: its NAR, its build log, and last its narinfo, which submits it."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hook.errors import Cause, Trouble
from hook.transfer.allocator import share_arenas
from hook.transfer.build_log import build_log
from hook.transfer.key_locks import KeyLocks
from hook.transfer.nar_source import nar_source
from hook.transfer.outgoing import PART_SIZE, Means, Outgoing, interrupted, minimum_memory, part_size
from hook.transfer.pace import Pace, StoppedError
from hook.transfer.staging import LOG_CONTENT_TYPE, UploadGoneError
from nixcache.content_address import ContentAddress
from nixcache.narinfo import NarInfo
from protocol.keys import NarFile, StagingLogKey, StagingNarInfoKey, StagingNarKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

    from hook.nix_store import NixStore, PathInfo
    from hook.transfer.budget import Budget
    from hook.transfer.multipart import Multiparts
    from hook.transfer.packing import Packing
    from hook.transfer.staging import Staged, Staging
    from protocol.keys import BuilderName

PARTS_AT_ONCE: Final = 8
"""Of all NARs together."""


class Transfer:
    """Brings store objects of this machine into staging, several at once if it is called from several threads.

    ``sent`` hears, from any thread, of how many further bytes of a NAR (uncompressed) are in staging; for a NAR that
    was put they add up to its size, unless it had to begin anew. Once ``stop`` is set, everything under way ends with
    a :class:`Trouble`, and what has arrived of it is kept for the next time.
    """

    def __init__(
        self,
        *,
        nix_store: NixStore,
        staging: Staging,
        builder: BuilderName,
        compression: Packing,
        multiparts: Multiparts,
        budget: Budget,
        stop: Event,
        sent: Callable[[int], None],
        smallest_part: int = PART_SIZE,
    ) -> None:
        self._nix_store = nix_store
        self._staging = staging
        self._builder = builder
        self._packing = compression
        self._multiparts = multiparts
        self._budget = budget
        self._smallest_part = smallest_part
        self._keys = KeyLocks()
        share_arenas()
        cores = _cores()
        self._means = Means(
            packing=compression,
            staging=staging,
            multiparts=multiparts,
            compressors=ThreadPoolExecutor(cores, "compress"),
            senders=ThreadPoolExecutor(PARTS_AT_ONCE, "send"),
            frames_ahead=cores,
            stop=stop,
            sent=sent,
        )
        staging.keep_pace(Pace(budget.max_bytes_per_second, stop))

    def put_nar(self, info: PathInfo) -> None:
        """Upload the NAR of ``info``; its key holds its nar hash, known from Nix's database before the first byte.

        Raises :class:`PermanentError` (``path-corrupt``, ``path-vanished``) when the bytes are not those of the
        database, :class:`DumpFailedError` when Nix cannot tell them now, and :class:`Trouble`.
        """
        key = str(StagingNarKey(self._builder, self._nar_file(info)))
        with self._keys.held(key):
            try:
                self._put_nar(key, info)
            except UploadGoneError:
                self._multiparts.end(key)
                try:
                    self._put_nar(key, info)
                except UploadGoneError:
                    self._multiparts.end(key)
                    raise Trouble(
                        Cause.SERVICE,
                        "The bucket forgets multipart uploads while they are under way.",
                        remedy="Check its lifecycle rules: Assay's own lets them live for a day.",
                    ) from None

    def submit(self, info: PathInfo, ca: str | None) -> Staged:
        """Upload the narinfo of ``info``, whose NAR has been put; ``ca`` is the content address as Nix writes it.

        Raises :class:`PermanentError` for a content address that no service takes, and :class:`Trouble`.
        """
        narinfo = NarInfo(
            store_dir=self._nix_store.store_dir,
            store_path=info.store_path,
            url=self._nar_file(info).url,
            compression=self._packing.compression,
            # Two paths with equal contents share a NAR's key. Another zstd would give that key other bytes, and a file
            # hash said here would then reject the first of them; the nar hash holds for both.
            file_hash=None,
            file_size=None,
            nar_hash=info.nar_hash,
            nar_size=info.nar_size,
            references=info.references,
            deriver=info.deriver,
            signatures=(),
            ca=ContentAddress.parse(ca) if ca else None,
        )
        data = narinfo.render()
        key = StagingNarInfoKey(self._builder, info.store_path.hash_part)
        with _interruptible():
            return self._staging.put_narinfo(key, data, sha256=hashlib.sha256(data).digest())

    def put_log(self, info: PathInfo) -> None:
        """Upload the build log of the deriver of ``info``, if this machine has it and lets us read it.

        Raises :class:`Trouble` for the bucket alone: a log is a courtesy, and no path waits for one.
        """
        log = build_log(info.deriver) if info.deriver else None
        if log is None or info.deriver is None:
            return
        with self._budget.share(log.size):
            try:
                data = log.read()
            except OSError:
                return
            key = str(StagingLogKey(self._builder, info.deriver))
            with _interruptible():
                self._staging.put(
                    key,
                    data,
                    sha256=hashlib.sha256(data).digest(),
                    content_type=LOG_CONTENT_TYPE,
                    encoding=log.encoding,
                )

    def clear_up(self) -> None:
        """Abort the multipart uploads that are remembered and that nobody is at.

        Raises the last :class:`Trouble` once each was tried; one that all of them would meet, at once.
        """
        last: Trouble | None = None
        for key, upload_id in self._multiparts.all():
            try:
                self._give_up(key, upload_id)
            except Trouble as trouble:
                if trouble.cause is not Cause.SERVICE:
                    raise
                last = trouble
        if last:
            raise last

    def _give_up(self, key: str, upload_id: str) -> None:
        with self._keys.if_free(key) as free:
            begun = self._multiparts.begun(key) if free else None
            if begun and begun.upload_id == upload_id:
                # Begun under another builder's name, it is out of this role's reach: the bucket's lifecycle takes it.
                if key.startswith(f"{self._builder}/"):
                    self._staging.abort(key, upload_id)
                self._multiparts.end(key)

    def _put_nar(self, key: str, info: PathInfo) -> None:
        size_of_part = part_size(info.nar_size, self._smallest_part)
        with (
            self._budget.share(minimum_memory(info.nar_size, size_of_part)) as share,
            nar_source(self._nix_store, info) as chunks,
        ):
            Outgoing(key, info.nar_size, size_of_part=size_of_part, share=share, means=self._means).put(chunks)

    def _nar_file(self, info: PathInfo) -> NarFile:
        return NarFile.of(info.nar_hash, self._packing.compression)


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except StoppedError:
        raise interrupted() from None


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
