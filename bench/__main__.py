"""How fast is the proof? ``python -m bench [--megabytes N] [--files N]`` prints one row a stage.

The reference is SHA-256 over the same NAR (hashlib, that is OpenSSL): a verifier must hash every byte, so nothing can
be much faster. A ratio of 0.5 means: half as fast as hashing alone.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nixcache.compression import Compression, compress, decompressor
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import NarParser, dump
from nixcache.narinfo import NarInfo
from nixcache.references import ReferenceScanner
from nixcache.store_path import NIX_STORE, StorePath, parse_hash_part
from nixcache.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK_SIZE = 1024 * 1024
_ROUNDS = 3
_STORE_PATH = StorePath.from_base_name("0123456789abcdfghijklmnpqrsvwxyz-bench")
_REFERENCE = StorePath(parse_hash_part("zyxwvsrqpnmlkjihgfdcba9876543210"), "mentioned-last")


def main() -> None:
    """Measure two NARs: few large files, many small ones."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=256, help="size of each NAR (default: %(default)s)")
    parser.add_argument("--files", type=int, default=20_000, help="files in the second NAR (default: %(default)s)")
    options = parser.parse_args()
    size = options.megabytes * 1024 * 1024
    print(f"{'':28}{'MB/s':>8}{'ratio':>8}")
    for files in (8, options.files):
        _measure(_nar(size, files), f"{options.megabytes} MiB, {files} files")


def _measure(nar: bytes, title: str) -> None:
    chunks = _cut(nar)
    compressed = _cut(b"".join(compress(Compression.ZSTD, chunks)))
    narinfo = _claim(nar)
    print(title)
    reference = _seconds(lambda: hashlib.sha256(nar))
    for name, stage in (
        ("sha256 (the reference)", lambda: hashlib.sha256(nar)),
        ("zstd", lambda: _decompress(compressed)),
        ("NAR parser", lambda: _parse(chunks)),
        ("reference scanner", lambda: _scan(chunks)),
        ("verify, whole", lambda: verify(narinfo, compressed)),
    ):
        seconds = _seconds(stage)
        print(f"  {name:26}{len(nar) / seconds / 1e6:8.0f}{reference / seconds:8.2f}")


def _nar(size: int, files: int) -> bytes:
    """Return the NAR of a tree of text-like files: words repeat, so that zstd has something to do."""
    chooser = random.Random(files)
    words = [chooser.randbytes(chooser.randrange(3, 12)).hex().encode() for _ in range(5000)]
    block = b" ".join(chooser.choices(words, k=200_000))
    with tempfile.TemporaryDirectory() as directory:
        for number in range(files):
            folder = Path(directory) / f"{number % 97}"
            folder.mkdir(exist_ok=True)
            length = size // files
            start = chooser.randrange(len(block))
            text = (block[start:] + block * (length // len(block) + 1))[:length]
            (folder / f"{number}").write_bytes(text)
        # The reference is mentioned at the very end: the scanner may not stop before.
        (Path(directory) / "z").write_text(_REFERENCE.base_name)
        return b"".join(dump(directory))


def _claim(nar: bytes) -> NarInfo:
    return NarInfo(
        store_dir=NIX_STORE,
        store_path=_STORE_PATH,
        url="nar/bench",
        compression=Compression.ZSTD,
        file_hash=None,
        file_size=None,
        nar_hash=Hash(HashAlgorithm.SHA256, hashlib.sha256(nar).digest()),
        nar_size=len(nar),
        references=(_REFERENCE,),
        deriver=None,
        signatures=(),
        ca=None,
    )


def _decompress(compressed: list[bytes]) -> None:
    codec = decompressor(Compression.ZSTD)
    for chunk in compressed:
        for _ in codec.feed(chunk):
            pass
    codec.close()


def _parse(chunks: list[bytes]) -> None:
    parser = NarParser()
    for chunk in chunks:
        parser.feed(chunk)
    parser.close()


def _scan(chunks: list[bytes]) -> None:
    scanner = ReferenceScanner(NIX_STORE, [_REFERENCE.hash_part])
    for chunk in chunks:
        scanner.feed(chunk)


def _cut(data: bytes) -> list[bytes]:
    return [data[start : start + _CHUNK_SIZE] for start in range(0, len(data), _CHUNK_SIZE)]


def _seconds(stage: Callable[[], object]) -> float:
    """Return the best of a few rounds: the one that the machine disturbed least."""
    rounds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        stage()
        rounds.append(time.perf_counter() - start)
    return min(rounds)


if __name__ == "__main__":
    main()
