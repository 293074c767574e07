"""The script that nix.conf's ``post-build-hook`` names: it knows where everything is, and never fails."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from hook import post_build
from hook.config import MachineConfig


def render(config: MachineConfig) -> str:
    """Return the script. Under a daemon the hook sees neither PATH nor variables of a client, so all of it is baked in.

    The script's last word is ``exit 0`` even where the interpreter or the file is gone (I9).
    """
    nix_store = shutil.which("nix-store")
    # Not resolved: a profile's path outlives an upgrade of Nix, a store path of it does not.
    nix_bin_dir = config.nix_bin_dir or (Path(nix_store).parent.absolute() if nix_store else None)
    assignments = {"ASSAY_STATE_DIR": config.state_dir, "ASSAY_NIX_BIN_DIR": nix_bin_dir or ""}
    baked = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in assignments.items())
    # Imported, not run as a file: an import keeps the compiled code, which saves a quarter of the hook's time.
    directory = str(Path(post_build.__file__).resolve().parent)
    program = f"import sys; sys.path.append({directory!r}); import post_build; post_build.run()"
    command = shlex.join([sys.executable, "-I", "-S", "-c", program])
    return f"""\
#!/bin/sh
# Nix's post-build hook of Assay, written by `assay hook-script`; write it anew when Assay or Python move.
{baked} {command} ||
  echo "assay: the hook cannot start; run 'assay hook-script' again. Nothing of this build was queued." >&2
exit 0
"""
