"""moto, and deployments in it and in memory, for the sweeper to sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.aws import Aws
from tests.concurrency.deployment import TWO_OF_THREE, SimulatedDeployment
from tests.ingest.store_objects import Builder
from tests.ingest.world import World


@pytest.fixture
def world(aws: Aws) -> World:
    return World(aws)


@pytest.fixture
def deployment() -> SimulatedDeployment:
    return SimulatedDeployment(TWO_OF_THREE)


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)
