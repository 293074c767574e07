"""What a machine that dies makes of the queue's database: what was not yet on the disk is gone, or worse."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Final

DATABASE: Final = "queue.sqlite"
WAL: Final = "queue.sqlite-wal"
SHARED_MEMORY: Final = "queue.sqlite-shm"
_WAL_HEADER: Final = 32
_FRAME_HEADER: Final = 24


def copy_while_it_is_written(state_dir: Path, copy: Path, rng: random.Random) -> None:
    """Copy the database's files one after the other, in any order: they need not fit each other."""
    names = [DATABASE, WAL, SHARED_MEMORY]
    rng.shuffle(names)
    copy.mkdir()
    for name in names:
        if (state_dir / name).exists():
            shutil.copyfile(state_dir / name, copy / name)


def put_back(copy: Path, state_dir: Path) -> None:
    """Let the machine find what was copied, and no other file of the database."""
    for name in (DATABASE, WAL, SHARED_MEMORY):
        (state_dir / name).unlink(missing_ok=True)
        if (copy / name).exists():
            shutil.move(copy / name, state_dir / name)


def lose_power(state_dir: Path, rng: random.Random) -> None:
    """Lose what no fsync covers: what follows the last commit in the write-ahead log, and the shared memory."""
    (state_dir / SHARED_MEMORY).unlink(missing_ok=True)
    wal = state_dir / WAL
    if wal.exists():
        data = wal.read_bytes()
        with wal.open("r+b") as file:
            file.truncate(rng.randint(_end_of_last_commit(data), len(data)))


def lose_more(state_dir: Path, rng: random.Random) -> None:
    """Lose what was said to be on the disk, as cheap disks do: the end of a file, or a block inside it."""
    files = [file for file in (state_dir / DATABASE, state_dir / WAL) if file.exists() and file.stat().st_size]
    if not files:
        return
    file = rng.choice(files)
    size = file.stat().st_size
    with file.open("r+b") as damaged:
        if rng.random() < 0.5:
            damaged.truncate(rng.randrange(size))
        else:
            damaged.seek(rng.randrange(size))
            damaged.write(rng.randbytes(4096))


def _end_of_last_commit(wal: bytes) -> int:
    """Return where the last frame ends that commits: its header tells the database's size, 0 for all others.

    https://www.sqlite.org/fileformat2.html#walformat. Frames of an earlier round of the log, which lie behind, have
    other salts; to cut inside them is to lose nothing.
    """
    if len(wal) < _WAL_HEADER:
        return 0
    frame = _FRAME_HEADER + int.from_bytes(wal[8:12])
    salts, end = wal[16:24], _WAL_HEADER
    for start in range(_WAL_HEADER, len(wal) - frame + 1, frame):
        if wal[start + 8 : start + 16] != salts:
            break
        if int.from_bytes(wal[start + 4 : start + 8]):
            end = start + frame
    return end
