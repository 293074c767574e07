"""The hook, killed before each of its system calls."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hook.config import MachineConfig
from hook.hook_script import render
from nixcache.store_path import StoreDir
from tests.storm.hook_kills import LAST_CALL, KilledHooks

_HASH_PART = "0123456789abcdfghijklmnpqrsvwxyz"


@pytest.mark.parametrize("call", range(LAST_CALL + 1))
def test_a_hook_that_is_killed_leaves_a_root_and_an_entry(tmp_path: Path, call: int) -> None:
    """I9: wherever it dies, the build goes on, and what was built is queued."""
    state_dir, script = tmp_path / "assay", tmp_path / "post-build-hook"
    script.write_text(render(MachineConfig(state_dir=state_dir, nix_bin_dir=None, store_dir=StoreDir("/nix/store"))))
    script.chmod(0o755)
    killed = KilledHooks(tmp_path / "hooks", script, {"built": call})
    path = f"/nix/store/{_HASH_PART}-built"
    environment = {
        **os.environ,
        "NIX_STATE_DIR": str(tmp_path / "nix"),
        "DRV_PATH": f"/nix/store/{_HASH_PART}-built.drv",
        "OUT_PATHS": path,
    }
    assert subprocess.run([script], env=environment, check=False).returncode == 0
    assert killed.kills().total() == 1
    entries = [file.read_text() for file in (state_dir / "spool" / "new").iterdir()]
    assert any(f"path {path}\nend\n" in entry for entry in entries)
    (link,) = (tmp_path / "nix" / "gcroots" / "assay").glob("*/*")
    assert os.readlink(link) == path  # noqa: PTH115 - the text of a link that leads nowhere here
