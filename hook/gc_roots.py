"""Letting go of the garbage-collection roots that the hook made, and finding those whose entry never arrived."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hook.post_build import INDIRECT_ROOTS, add_gc_root, gc_roots_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["add_gc_root", "each", "is_rooted", "made_at", "release", "rooted"]


def is_rooted(state_dir: Path, base_name: str) -> bool:
    """Whether the path is rooted for this queue."""
    return any((directory / base_name).is_symlink() for directory in _directories(state_dir))


def rooted(state_dir: Path) -> dict[str, str]:
    """Return the base names that are rooted for this queue, and the full store path of each; raises OSError."""
    return dict(each(state_dir))


def each(state_dir: Path) -> Iterator[tuple[str, str]]:
    """Yield base name and full store path of what is rooted for this queue, as it is found; raises OSError.

    A million of them take no memory. What is let go meanwhile may be missing.
    """
    for directory in _directories(state_dir):
        try:
            with os.scandir(directory) as links:
                for link in links:
                    with suppress(FileNotFoundError):
                        if link.is_symlink():
                            yield link.name, str(Path(link.path).readlink())
        except (FileNotFoundError, NotADirectoryError):
            continue


def made_at(state_dir: Path, base_name: str) -> float | None:
    """Return when the newest root of a path was made, in seconds since the epoch; None where it has none."""
    times = []
    for directory in _directories(state_dir):
        with suppress(FileNotFoundError, NotADirectoryError):
            times.append((directory / base_name).lstat().st_mtime)
    return max(times, default=None)


def release(state_dir: Path, base_name: str) -> None:
    """Let garbage collection take the path; raises OSError. Nix itself clears up after an indirect root."""
    for directory in _directories(state_dir):
        (directory / base_name).unlink(missing_ok=True)


def _directories(state_dir: Path) -> tuple[Path, Path]:
    return Path(gc_roots_dir(str(state_dir))), state_dir / INDIRECT_ROOTS
