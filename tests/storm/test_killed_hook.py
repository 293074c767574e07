"""The hook, killed before each of its system calls."""

from __future__ import annotations

import os
import subprocess
from itertools import count
from pathlib import Path

from hook.config import MachineConfig
from hook.hook_script import render
from nixcache.store_path import StoreDir
from tests.storm.hook_kills import KilledHooks

_BASE_NAME = "0123456789abcdfghijklmnpqrsvwxyz-built"


def test_a_hook_that_is_killed_leaves_a_root_and_an_entry(tmp_path: Path) -> None:
    """I9: wherever it dies, the build goes on, and what was built is queued."""
    for call in count():
        directory = tmp_path / str(call)
        directory.mkdir()
        if _is_killed_before(call, directory) == "_exit":
            assert call > 10, "so few calls write nothing durable"
            return


def _is_killed_before(number: int, directory: Path) -> str:
    """Kill a hook before a call of that number, look at what is there afterwards, and return the call's name."""
    state_dir, script = directory / "assay", directory / "post-build-hook"
    script.write_text(render(MachineConfig(state_dir=state_dir, nix_bin_dir=None, store_dir=StoreDir("/nix/store"))))
    script.chmod(0o755)
    killed = KilledHooks(directory / "hooks", script, {"built": number})
    path = f"/nix/store/{_BASE_NAME}"
    environment = {
        **os.environ,
        "NIX_STATE_DIR": str(directory / "nix"),
        "DRV_PATH": f"{path}.drv",
        "OUT_PATHS": path,
    }
    assert subprocess.run([script], env=environment, capture_output=True, check=False).returncode == 0
    ((call, times),) = killed.kills().items()
    entries = [file.read_text() for file in (state_dir / "spool" / "new").iterdir()]
    assert any(f"path {path}\n" in entry and entry.endswith("end\n") for entry in entries), f"killed before {call}"
    (link,) = (directory / "nix" / "gcroots" / "assay").glob("*/*")
    assert os.readlink(link) == path  # noqa: PTH115 - the text of a link that leads nowhere here
    assert times == 1
    return call
