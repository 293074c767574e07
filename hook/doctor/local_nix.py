"""Checks of the Nix on this machine: its programs, and that it runs our hook."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hook import hook_script
from hook.doctor.check import Check, fail, ok, warn

if TYPE_CHECKING:
    from hook.config import MachineConfig
    from hook.hook_script import Written

OLDEST: Final = (2, 3)
_SECONDS: Final = 10.0
"""For a command of Nix that reads its settings alone."""
_INSTALL: Final = "assay hook-script --output /etc/nix/assay-hook"
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def programs(machine: MachineConfig) -> list[Check]:
    """Whether Nix's programs are there, and new enough."""
    name = "nix"
    place = machine.nix_bin_dir or "PATH"
    said = _run(machine, "nix-store", "--version")
    if said is None:
        return [
            fail(
                name,
                f"nix-store cannot be started from {place}.",
                "Set nix_bin_dir to the directory that holds Nix's programs.",
            )
        ]
    version = re.search(r"(\d+)\.(\d+)\S*", said)
    if version is None:
        return [warn(name, f"nix-store --version says {said.strip()[:100]!r}.", "Check that it is Nix's.")]
    if (int(version[1]), int(version[2])) < OLDEST:
        return [fail(name, f"Nix {version[0]} is too old.", "Install Nix 2.3 or newer.")]
    if _run(machine, "nix", "--version") is None:
        return [
            warn(
                name,
                f"Nix {version[0]} from {place} has no program nix: nobody can be asked for content addresses.",
                "Put nix beside nix-store.",
            )
        ]
    return [ok(name, f"Nix {version[0]} from {place}, store {machine.store_dir.path}")]


def post_build_hook(machine: MachineConfig) -> list[Check]:
    """Whether Nix starts the hook that this installation would write today, for this queue."""
    name = "hook"
    settings = _run(machine, "nix", "config", "show") or _run(machine, "nix", "show-config")
    if settings is None:
        return [
            warn(
                name,
                "Neither `nix config show` nor `nix show-config` tells the settings.",
                "Look in nix.conf for post-build-hook.",
            )
        ]
    line = re.search(r"^post-build-hook =[ \t]*(.*)$", settings, re.MULTILINE)
    hook = line[1].strip() if line else ""
    if not hook:
        return [
            fail(
                name,
                "nix.conf sets no post-build-hook: no build is queued.",
                f"`{_INSTALL}`, then post-build-hook = /etc/nix/assay-hook in nix.conf; restart the Nix daemon.",
            )
        ]
    return [_of_script(name, Path(hook), machine)]


def _of_script(name: str, hook: Path, machine: MachineConfig) -> Check:
    write = f"`assay hook-script --output {hook}`"
    try:
        mode = hook.stat().st_mode
        script = hook.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return fail(name, f"nix.conf's post-build-hook {hook} cannot be read: {error.strerror}. Builds fail.", write)
    if not os.access(hook, os.X_OK):
        return fail(name, f"{hook} is not executable: every build fails.", f"chmod 755 {hook}")
    if mode & _OTHERS_MAY_WRITE:
        return fail(name, f"Others than its owner may change {hook}, which Nix runs.", f"chmod 755 {hook}")
    written = hook_script.read(script)
    if written is None:
        return warn(
            name,
            f"{hook} is not what assay hook-script writes.",
            "Have it start the script that assay hook-script writes, if it does not.",
        )
    same = script == hook_script.render(machine)
    try:
        return _of_what_it_starts(name, hook, written, machine, write, same=same)
    except PermissionError as error:
        return warn(name, f"{hook} starts {error.filename}, which is not this user's to read.", "Ask again as root.")


def _of_what_it_starts(
    name: str, hook: Path, written: Written, machine: MachineConfig, write: str, *, same: bool
) -> Check:
    for file in (written.interpreter, written.program):
        if not _is_file(file):
            return fail(name, f"{hook} cannot start: {file} is gone. No build is queued.", write)
    if not os.access(written.interpreter, os.X_OK):
        return fail(name, f"{hook} cannot start: {written.interpreter} is no program. No build is queued.", write)
    if written.state_dir != machine.state_dir:
        return fail(
            name,
            f"{hook} queues in {written.state_dir}, the configuration says {machine.state_dir}: nobody uploads what is"
            " built.",
            f"Correct state_dir, or {write}.",
        )
    if not same or not hook_script.is_ours(written.program):
        return warn(name, f"{hook} is of another installation of Assay, Python or Nix.", write)
    return ok(name, f"{hook}, as this installation writes it, for {machine.state_dir}")


def _is_file(path: Path) -> bool:
    """Whether there is such a file; raises PermissionError where this user may not know, as pathlib's own may not."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _run(machine: MachineConfig, program: str, *arguments: str) -> str | None:
    """Return what a command says; None where it fails or hangs."""
    settings = f"{os.environ.get('NIX_CONFIG', '')}\nextra-experimental-features = nix-command"
    executable = str(machine.nix_bin_dir / program) if machine.nix_bin_dir else program
    try:
        ended = subprocess.run(
            [executable, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "NIX_CONFIG": settings},
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.decode(errors="replace")
