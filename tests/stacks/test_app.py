"""The entry point, as the CDK command line starts it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.stacks.conftest import ROOT


def _run(stage: str, directory: Path, *, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # No stack is bundled: the bundle has its own tests, and costs most of a synthesis.
    context = json.loads((ROOT / "cdk.json").read_text())["context"] | {"stage": stage, "aws:cdk:bundling-stacks": []}
    environment = os.environ | {"CDK_CONTEXT_JSON": json.dumps(context), "CDK_OUTDIR": str(directory)}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "app.py"]
    return subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)


def test_a_wrong_configuration_is_one_line_with_its_place_and_no_traceback(tmp_path: Path) -> None:
    shutil.copy(ROOT / "app.py", tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/prod.yaml").write_text(
        "builders:\n  ci:\n    ec2: this-account\n    maxNarSise: 5\nquorum: []\n"
    )
    answer = _run("prod", tmp_path / "out", root=tmp_path)
    assert answer.returncode == 1
    assert answer.stderr == "config/prod.yaml:4: builders.ci.maxNarSise: is no field that Assay knows\n"
    assert answer.stdout == ""
    assert not list(tmp_path.rglob("*.template.json"))


def test_a_stage_that_nobody_configured_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    answer = _run("staging", tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.startswith("config/staging.yaml: cannot be read: ")
    assert len(answer.stderr.splitlines()) == 1


def test_the_example_for_production_becomes_one_stack_so_that_cdk_deploy_needs_no_name(tmp_path: Path) -> None:
    answer = _run("prod", tmp_path)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert [path.name for path in tmp_path.glob("*.template.json")] == ["Assay-prod.template.json"]
