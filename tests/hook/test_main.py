"""``python -m hook`` and ``assay``, before there is anything of either."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from hook.exit_code import ExitCode
from local.aws import PROJECT_ROOT

_INTERRUPTED = """\
import sys

class Interrupted:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
"""
_AS_A_MODULE = "import runpy\nrunpy.run_module('hook', run_name='__main__')"


def _as_installed() -> str:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["assay"].partition(":")
    return f"from {module} import {function}\nsys.exit({function}())"


@pytest.mark.parametrize("start", [_AS_A_MODULE, _as_installed()], ids=["module", "installed"])
def test_ctrl_c_while_it_is_being_imported_is_no_traceback(start: str) -> None:
    program = _INTERRUPTED.format(module="hook.queue.view") + start
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (ExitCode.INTERRUPTED, "", "")
