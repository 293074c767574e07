"""Nix's programs: found on this machine, or installed where a package manager has them and we may ask it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

from local.demo.story import Story

_APT_SECONDS = 600
# As Debian's own documentation asks of scripts: no questions, and whatever is asked all the same keeps its default.
_APT_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}


def have_nix(story: Story) -> bool:
    """Tell whether the real Nix can be used; on Debian and Ubuntu, as root, say so and install it first."""
    if _on_path():
        return True
    if not (_is_debian() and os.geteuid() == 0 and shutil.which("apt-get")):
        return False
    with story.step("Nix is not on this machine: install Debian's package nix-bin"):
        for command in (
            ("apt-get", "update", "--quiet=2"),
            ("apt-get", "install", "--quiet=2", "--yes", "--no-install-recommends", "nix-bin"),
        ):
            process = subprocess.run(
                command,
                env={**os.environ, **_APT_ENVIRONMENT},
                capture_output=True,
                text=True,
                check=False,
                timeout=_APT_SECONDS,
            )
            if process.returncode != 0:
                story.tell(f"`{' '.join(command)}` failed: {process.stderr.strip().splitlines()[-1:]}")
                return False
        story.tell("`apt-get remove nix-bin` takes it off again.")
    return _on_path()


def _on_path() -> bool:
    return all(shutil.which(program) for program in ("nix-build", "nix-store"))


def _is_debian() -> bool:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return "debian" in (release["ID"], *release.get("ID_LIKE", "").split())
