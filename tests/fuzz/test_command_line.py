"""``python -m fuzz``: what it can be asked for. What it does is libFuzzer's, which the tests do without."""

from __future__ import annotations

import subprocess
import sys

from fuzz.targets import TARGETS


def test_an_unknown_target_is_a_usage_error_that_names_all_targets() -> None:
    run = subprocess.run([sys.executable, "-m", "fuzz", "nars"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert all(repr(name) in run.stderr for name in TARGETS)
