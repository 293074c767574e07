"""The version has one place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from protocol.version import VERSION

ROOT = Path(__file__).parents[2]


def test_it_is_a_version() -> None:
    """Semantic Versioning, as CHANGELOG.md promises."""
    assert re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", VERSION, re.ASCII)


def test_the_package_takes_it_from_there() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in settings["project"]
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "protocol.version.VERSION"}
