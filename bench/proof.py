"""Ours, in a process of its own: ``python -m bench.proof verify|stages NARINFO`` prints what it took, as JSON.

A process of its own because a peak of memory never falls again, and because the bench's own must not count. Starting
Python is left out: a Lambda, too, has started before a submission comes.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from local.peak_memory import peak_memory
from nixcache.build_ids import BuildIdCollector
from nixcache.compression import decompressor
from nixcache.nar import NarParser
from nixcache.nar_listing import ListingBuilder
from nixcache.narinfo import NarInfo
from nixcache.references import ReferenceScanner
from nixcache.store_path import NIX_STORE
from nixcache.verify import Limits, verify

T = TypeVar("T")

# What ingest reads at once (lambdas/ingest/adapters/body.py): to import that would add boto3 to the peak.
_CHUNK_SIZE: Final = 1024 * 1024


def main() -> None:
    """Measure one pass."""
    what, name = sys.argv[1:]
    file = Path(name)
    narinfo = NarInfo.parse(file.read_bytes(), NIX_STORE)
    chunks = _chunks(file.parent / narinfo.url)
    print(json.dumps(_verify(narinfo, chunks) if what == "verify" else _stages(narinfo, chunks)))


def _verify(narinfo: NarInfo, chunks: Iterator[bytes]) -> dict[str, float]:
    seconds, cpu_seconds = time.perf_counter(), time.process_time()
    verify(narinfo, chunks, limits=Limits(max_nar_size=narinfo.nar_size))
    return {
        "seconds": time.perf_counter() - seconds,
        "cpu_seconds": time.process_time() - cpu_seconds,
        "peak_memory": peak_memory(),
    }


def _stages(narinfo: NarInfo, chunks: Iterator[bytes]) -> dict[str, float]:
    """One thread, one stage after the other on each piece: what ours is made of, and what it would take in a row."""
    clock = _Clock()
    file_hash, nar_hash = hashlib.sha256(), hashlib.sha256()
    codec = decompressor(narinfo.compression)
    parser, listing, build_ids = NarParser(), ListingBuilder(), BuildIdCollector()
    scanner = ReferenceScanner(NIX_STORE, [reference.hash_part for reference in narinfo.references])
    for chunk in chunks:
        clock.time("file hash", file_hash.update, chunk)
        pieces = codec.feed(chunk)
        while (piece := clock.time("decompression", next, pieces, None)) is not None:
            events = clock.time("NAR parser", parser.feed, piece)
            clock.time("listing", listing.feed, events)
            clock.time("build ids", build_ids.feed, events)
            clock.time("reference scanner", scanner.feed, piece)
            clock.time("nar hash", nar_hash.update, piece)
    return clock.cpu_seconds


class _Clock:
    def __init__(self) -> None:
        self.cpu_seconds: dict[str, float] = {}

    def time(self, stage: str, work: Callable[..., T], *arguments: object) -> T:
        start = time.thread_time()
        done = work(*arguments)
        self.cpu_seconds[stage] = self.cpu_seconds.get(stage, 0) + time.thread_time() - start
        return done


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb", buffering=0) as opened:
        while chunk := opened.read(_CHUNK_SIZE):
            yield chunk


if __name__ == "__main__":
    main()
