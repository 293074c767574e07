"""Letting go of the garbage-collection roots that the hook made, and finding those whose entry never arrived."""

from __future__ import annotations

from pathlib import Path

from hook.post_build import INDIRECT_ROOTS, add_gc_root, gc_roots_dir

__all__ = ["add_gc_root", "is_rooted", "made_at", "release", "rooted"]


def is_rooted(state_dir: Path, base_name: str) -> bool:
    """Whether the path is rooted for this queue."""
    return any((directory / base_name).is_symlink() for directory in _directories(state_dir))


def rooted(state_dir: Path) -> dict[str, str]:
    """Return the base names that are rooted for this queue, and the full store path of each; raises OSError."""
    return {
        link.name: str(link.readlink())
        for directory in _directories(state_dir)
        if directory.is_dir()
        for link in directory.iterdir()
        if link.is_symlink()
    }


def made_at(state_dir: Path, base_name: str) -> float:
    """Return when the newest root of a path that is rooted was made, in seconds since the epoch; raises OSError."""
    links = [directory / base_name for directory in _directories(state_dir)]
    return max(link.lstat().st_mtime for link in links if link.is_symlink())


def release(state_dir: Path, base_name: str) -> None:
    """Let garbage collection take the path; raises OSError. Nix itself clears up after an indirect root."""
    for directory in _directories(state_dir):
        (directory / base_name).unlink(missing_ok=True)


def _directories(state_dir: Path) -> tuple[Path, Path]:
    return Path(gc_roots_dir(str(state_dir))), state_dir / INDIRECT_ROOTS
