"""The reference of the configuration lists what may stand there, and nothing that may not."""

from __future__ import annotations

import re

from tests.stacks.conftest import ROOT
from tests.stacks.test_config import WHOLE


def test_every_field_is_listed_once() -> None:
    reference = (ROOT / "docs/reference/configuration.md").read_text()
    tables = reference.partition("\n## Builders\n")[0]
    rows = [line.split("|")[1] for line in tables.splitlines() if line.startswith("| `")]
    assert sorted(word for row in rows for word in re.findall("`([^`]+)`", row)) == sorted(WHOLE)
