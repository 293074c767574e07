"""The script that nix.conf's ``post-build-hook`` names: it knows where everything is, and never fails."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hook import post_build
from hook.config import MachineConfig

_COMMAND: Final = re.compile(r"^[ \t]*(ASSAY_STATE_DIR=.*) && exit 0$", re.MULTILINE | re.DOTALL)
_PROGRAM: Final = re.compile(r"import sys; sys\.path\.append\((.*)\); import (\w+); ")


@dataclass(frozen=True, slots=True)
class Written:
    """What a script that :func:`render` wrote will start, and where that queues."""

    state_dir: Path
    interpreter: Path
    program: Path


def render(config: MachineConfig) -> str:
    """Return the script. Under a daemon the hook sees neither PATH nor variables of a client, so all of it is baked in.

    The script's last word is ``exit 0`` even where the interpreter or the file is gone (I9). It tries twice: a hook
    that was killed, for want of memory say, before it had made a root left no trace of what was built, and Nix never
    runs it again for that path.
    """
    nix_store = shutil.which("nix-store")
    # Not resolved: a profile's path outlives an upgrade of Nix, a store path of it does not.
    nix_bin_dir = config.nix_bin_dir or (Path(nix_store).parent.absolute() if nix_store else None)
    assignments = {"ASSAY_STATE_DIR": config.state_dir, "ASSAY_NIX_BIN_DIR": nix_bin_dir or ""}
    baked = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in assignments.items())
    # Imported, not run as a file: an import keeps the compiled code, which saves a quarter of the hook's time.
    directory = str(_program(config).parent)
    program = f"import sys; sys.path.append({directory!r}); import post_build; post_build.run()"
    command = shlex.join([sys.executable, "-I", "-S", "-c", program])
    return f"""\
#!/bin/sh
# Nix's post-build hook of Assay, written by `assay hook-script`; write it anew when Assay or Python move.
for attempt in 1 2; do
  {baked} {command} && exit 0
done
echo "assay: the hook cannot start; run 'assay hook-script' again. Nothing of this build was queued." >&2
exit 0
"""


def read(script: str) -> Written | None:
    """Return what is baked into ``script``; None where :func:`render` did not write it. Never raises."""
    command = _COMMAND.search(script)
    try:
        assigned, _, interpreter, *options = shlex.split(command[1]) if command else []
        program = _PROGRAM.match(options[-1])
        directory = ast.literal_eval(program[1]) if program else None
    except (ValueError, SyntaxError, IndexError):
        return None
    if program is None or not isinstance(directory, str):
        return None
    return Written(Path(assigned.partition("=")[2]), Path(interpreter), Path(directory, f"{program[2]}.py"))


def keep_program(config: MachineConfig) -> None:
    """See to it that what the script starts lies where it will stay; raises OSError.

    A zipapp unpacks itself into a cache, which people clear: the hook gets a copy in the state directory.
    """
    installed, copy = _installed(), _program(config)
    if copy == installed:
        return
    post_build.make_directory(str(copy.parent))
    # Beside its place and then into it: Nix may start the old one at this very moment.
    tmp = copy.with_name(f".{copy.name}.tmp")
    tmp.write_bytes(installed.read_bytes())
    tmp.replace(copy)


def is_ours(program: Path) -> bool:
    """Whether ``program`` is this installation's, byte for byte; raises OSError."""
    return program.read_bytes() == _installed().read_bytes()


def _program(config: MachineConfig) -> Path:
    """Return where the hook's program lies for good."""
    installed = _installed()
    return config.state_dir / "hook" / installed.name if zipfile.is_zipfile(sys.argv[0]) else installed


def _installed() -> Path:
    return Path(post_build.__file__).resolve()
