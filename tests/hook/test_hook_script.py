"""`assay hook-script`: what is written can be read again, whatever the names in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hook import hook_script, post_build
from hook.config import MachineConfig
from nixcache.store_path import NIX_STORE


def _config(state_dir: Path, nix_bin_dir: Path | None = None) -> MachineConfig:
    return MachineConfig(state_dir=state_dir, nix_bin_dir=nix_bin_dir, store_dir=NIX_STORE)


@pytest.mark.parametrize("name", ["assay", "a b", "it's", '"$HOME"', "a && exit 0", "two\nlines", "ä"])
def test_what_is_baked_in_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    installed = tmp_path / name / "post_build.py"
    installed.parent.mkdir()
    installed.touch()
    monkeypatch.setattr(post_build, "__file__", str(installed))
    monkeypatch.setattr(sys, "executable", f"/opt/{name}/python")
    script = hook_script.render(_config(Path("/var") / name, Path("/nix") / name))
    subprocess.run(["/bin/sh", "-n"], input=script.encode(), check=True)
    assert hook_script.read(script) == hook_script.Written(
        state_dir=Path("/var") / name, interpreter=Path(f"/opt/{name}/python"), program=installed
    )


@pytest.mark.parametrize(
    "script",
    [
        "",
        "#!/bin/sh\nnix copy --to s3://somewhere $OUT_PATHS\n",
        "  ASSAY_STATE_DIR=/var && exit 0\n",
        "  ASSAY_STATE_DIR=/var X= /opt/python -c 'pass' && exit 0\n",
        "  ASSAY_STATE_DIR=' X= /opt/python -c 'pass && exit 0\n",
        "  ASSAY_STATE_DIR=/var X= python -c 'import sys; sys.path.append((); import post_build; ' && exit 0\n",
        "  ASSAY_STATE_DIR=/var X= python -c 'import sys; sys.path.append(3); import post_build; ' && exit 0\n",
    ],
)
def test_what_somebody_else_wrote_is_read_as_nothing(script: str) -> None:
    assert hook_script.read(script) is None
