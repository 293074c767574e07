"""A deployment in moto for each test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.aws import Aws
from tests.ingest.store_objects import Builder
from tests.ingest.world import World


@pytest.fixture
def world(aws: Aws) -> World:
    return World(aws)


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


@pytest.fixture
def log_lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Return what was logged since the last call, each line as the document that CloudWatch reads."""
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
