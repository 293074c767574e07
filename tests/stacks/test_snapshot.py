"""The whole template as it was last looked at: what a change does to the infrastructure is in the diff of one file.

When it differs on purpose: ``UPDATE_SNAPSHOT=1 .venv/bin/python -m pytest tests/stacks/test_snapshot.py``, and read the
difference in git.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.stacks.conftest import Synthesis

SNAPSHOT = Path(__file__).with_name("template.snapshot.json")
# Of the code and not of the infrastructure, or said better elsewhere.
_ASSET = re.compile(r"[0-9a-f]{64}\.zip")
_LEFT_OUT = {"DashboardBody": "tests/stacks/test_dashboard.py looks at it"}


def test_the_template_is_the_one_that_was_looked_at(synthesis: Synthesis) -> None:
    text = json.dumps(_settled(synthesis.template), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(text)
    difference = list(
        difflib.unified_diff(SNAPSHOT.read_text().splitlines(), text.splitlines(), "looked at", "now", n=4)
    )
    if difference:
        pytest.fail("\n".join(["The template is another one. Meant? UPDATE_SNAPSHOT=1, and read:", *difference[:200]]))


def _settled(value: Any) -> Any:  # noqa: ANN401  whatever JSON holds
    """``value`` without what changes with every line of code."""
    match value:
        case dict():
            return {key: _LEFT_OUT.get(key) or _settled(item) for key, item in value.items()}
        case list():
            return [_settled(item) for item in value]
        case str():
            return _ASSET.sub("<code>.zip", value)
        case _:
            return value
