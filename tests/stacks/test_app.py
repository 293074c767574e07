"""The entry point, as the CDK command line starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.stacks.conftest import ROOT


def _run(context: object, directory: Path) -> subprocess.CompletedProcess[str]:
    # No stack is bundled: the bundle has its own tests, and costs most of a synthesis.
    whole = json.loads((ROOT / "cdk.json").read_text())["context"] | {"assay": context, "aws:cdk:bundling-stacks": []}
    environment = os.environ | {"CDK_CONTEXT_JSON": json.dumps(whole), "CDK_OUTDIR": str(directory)}
    command = [sys.executable, "app.py"]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_wrong_context_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    answer = _run({"stage": "PROD"}, tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.startswith("cdk.json, context, assay.stage: 'PROD' is not ")
    assert len(answer.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("*.template.json"))


def test_a_wrong_policy_is_one_line_with_its_place_and_no_traceback(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("builders:\n  ci:\n    compressions: [zstd]\n    maxNarSise: 5\nquorum: []\n")
    builders = [{"name": "ci", "principal": "this-account"}]
    answer = _run({"stage": "prod", "builders": builders, "policy": str(policy)}, tmp_path)
    assert answer.returncode == 1
    assert answer.stderr == f"{policy}, line 4, builders.ci.maxNarSise: is no field that Assay knows\n"
    assert answer.stdout == ""
    assert not list(tmp_path.glob("*.template.json"))


def test_the_stage_names_the_stack(tmp_path: Path) -> None:
    answer = _run({"stage": "prod", "builders": [{"name": "ci", "principal": "this-account"}]}, tmp_path)
    assert answer.returncode == 0
    assert [path.name for path in tmp_path.glob("*.template.json")] == ["Assay-prod.template.json"]
