"""What a store object holds: files of the machine that the bench runs on, or text where it has too few.

Compilers, libraries, Python modules, icons and manuals are what distributions and Nix alike install; random bytes or
one repeated text would be compressed, hashed and searched at quite other speeds. The choice depends on the machine's
files alone, so two runs on one machine measure the same bytes.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PLACES: Final = ("/usr/lib", "/usr/share", sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"))
_LARGE: Final = range(256 * 1024, 16 * 1024 * 1024)
_SMALL: Final = range(64, 6 * 1024)
# Enough for zstd not to find a file's earlier copy, which would be far outside its window; to read more of a disk that
# has not been read before takes longer than all the measuring.
_LARGE_SIZE: Final = 128 * 1024 * 1024
_SMALL_SIZE: Final = 32 * 1024 * 1024
_DENSE_SIZE: Final = 8_000_000
_SEED: Final = 3


@dataclass(frozen=True, slots=True)
class Pool:
    """Files of the bench's own to make trees of, in a fixed order that mixes their origins."""

    files: tuple[Path, ...]

    def endlessly(self) -> Iterator[Path]:
        """Yield the files in their order, again and again."""
        while True:
            yield from self.files


def large_files(directory: Path) -> Pool:
    """Copy files of 256 KiB and more into ``directory``, 128 MiB of them."""
    return _pool(directory, _LARGE, _LARGE_SIZE)


def small_files(directory: Path) -> Pool:
    """Copy files of less than 6 KiB, about 2 KiB on average, into ``directory``, 32 MiB of them."""
    return _pool(directory, _SMALL, _SMALL_SIZE)


def dense_files(directory: Path) -> Pool:
    """Write random bytes of seven bits each into ``directory``, 8 MB: all that a compressor saves is an eighth."""
    seven_bits = bytes(byte & 0x7F for byte in range(256))
    directory.mkdir()
    file = directory / "dense"
    file.write_bytes(random.Random(_SEED).randbytes(_DENSE_SIZE).translate(seven_bits))
    return Pool((file,))


def _pool(directory: Path, sizes: range, wanted: int) -> Pool:
    chooser = random.Random(_SEED)
    directory.mkdir()
    files: list[Path] = []
    total = 0
    for place in sorted({Path(place).resolve() for place in _PLACES}):
        share = total + wanted // len(_PLACES)
        for original, size in _found(place, sizes, chooser):
            if total >= share:
                break
            copy = _own(directory, len(files), original.name)
            shutil.copyfile(original, copy)
            copy.chmod(0o755 if os.access(original, os.X_OK) else 0o644)
            files.append(copy)
            total += size
    while total < wanted:
        text = _own(directory, len(files), "text")
        text.write_bytes(_text(chooser, sizes))
        files.append(text)
        total += text.stat().st_size
    chooser.shuffle(files)
    return Pool(tuple(files))


def _own(directory: Path, number: int, name: str) -> Path:
    folder = directory / f"{number // 1000}"
    folder.mkdir(exist_ok=True)
    return folder / f"{number % 1000:03}-{name}"


def _found(place: Path, sizes: range, chooser: random.Random) -> Iterator[tuple[Path, int]]:
    for folder, folders, names in os.walk(place):
        # At random, but always the same: the first directories alone would be of one language or one program.
        folders.sort()
        chooser.shuffle(folders)
        for name in sorted(names):
            path = Path(folder, name)
            try:
                status = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and status.st_size in sizes and os.access(path, os.R_OK):
                yield path, status.st_size


def _text(chooser: random.Random, sizes: range) -> bytes:
    """Words that repeat as often as those of a program do."""
    words = [chooser.randbytes(chooser.randrange(1, 6)).hex().encode() for _ in range(2000)]
    length = min(chooser.choice(sizes), 1024 * 1024)
    return b" ".join(chooser.choices(words, k=length // 8))
