"""The script that nix.conf's ``post-build-hook`` names: it knows where everything is, and never fails."""

from __future__ import annotations

import shlex
import shutil
import sys
import zipfile
from pathlib import Path

from hook import post_build
from hook.config import MachineConfig


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
    directory = str(_program_directory(config))
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


def _program_directory(config: MachineConfig) -> Path:
    """Return where the hook's program lies for good; raises OSError.

    A zipapp unpacks itself into a cache, which people clear: the hook gets a copy in the state directory.
    """
    installed = Path(post_build.__file__).resolve()
    if not zipfile.is_zipfile(sys.argv[0]):
        return installed.parent
    copy = config.state_dir / "hook" / installed.name
    post_build.make_directory(str(copy.parent))
    # Beside its place and then into it: Nix may start the old one at this very moment.
    tmp = copy.with_name(f".{copy.name}.tmp")
    tmp.write_bytes(installed.read_bytes())
    tmp.replace(copy)
    return copy.parent
